"""What a fleet costs a month on AWS, and what it would cost elsewhere.

prices.py     list prices, in one place, with their date
workload.py   a fleet: devices, interval, batch, values
usage.py      what one request and one reading use of each service
bills.py      a bill by service: IoTFlow over REST, over IoT Core; IoT Core with Timestream; ThingsBoard on EC2
"""
