"""The options that both MQTT simulators understand beside the common ones, and the network that they describe."""

import argparse
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from simulators.client import CONNECT_TIMEOUT_S
from simulators.device import STAGGER_S, DevicePlan
from simulators.enrolment import Enrolled, Registrar
from simulators.mqtt_discovery import Discovery
from simulators.mqtt_topics import IoTFlowTopics, ThingsBoardTopics, Topics
from simulators.mqtt_uplink import Broker, MqttUplink, tls_context
from simulators.options import RunOptions, add_run_options
from simulators.run import Network, health_trouble, http_client
from simulators.totals import Counts
from simulators.uplink import Uplink

PORTS = {("tcp", False): 1883, ("tcp", True): 8883, ("websockets", False): 9001, ("websockets", True): 9001}


def add_mqtt_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run over MQTT, with the predecessor's defaults."""
    broker = parser.add_argument_group("broker")
    broker.add_argument("--host", default="localhost", help="the broker (default localhost)")
    broker.add_argument("--port", type=port, help="its port (default 1883, 8883 with --tls, 9001 with WebSocket)")
    broker.add_argument("--tls", action="store_true", help="connect over TLS, and check the broker's certificate")
    broker.add_argument("--ca", type=Path, metavar="FILE", help="CA to trust, e.g. the one that infra certs made")
    broker.add_argument("--transport", choices=("tcp", "websockets"), default="tcp", help="default tcp")
    broker.add_argument("--mqtt-version", choices=("3.1.1", "5"), default="5", help="3.1.1 cannot say why it refuses")
    broker.add_argument(
        "--qos", type=int, choices=(0, 1, 2), default=1, help="of readings (default 1); with 0 losses go unnoticed"
    )
    broker.add_argument("--thingsboard", action="store_true", help="use the topics of ThingsBoard's devices")
    keys = parser.add_argument_group("credentials (default: register over HTTP at --url)")
    keys.add_argument("--username", "-u", help="sign in with this instead of registering: the id of a device")
    keys.add_argument("--password", "-P", default="", help="the key of that device")
    keys.add_argument("--discovery", action="store_true", help="register over MQTT instead of HTTP")
    parser.add_argument("--no-stagger", action="store_true", help="do not spread the first readings over 5 s")
    add_run_options(parser, duration_s=300, telemetry_s=5, heartbeat_s=60)


def port(text: str) -> int:
    """Read a port."""
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 65535")
    return int(text)


def broker(arguments: argparse.Namespace) -> Broker:
    """Return the broker of a parsed command line.

    Raises:
        OSError: --ca cannot be used.
    """
    return Broker(
        host=arguments.host,
        port=arguments.port or PORTS[arguments.transport, arguments.tls],
        version=arguments.mqtt_version,
        transport=arguments.transport,
        tls=tls_context(arguments.ca) if arguments.tls else None,
        qos=arguments.qos,
    )


def with_credentials(plans: Sequence[DevicePlan], arguments: argparse.Namespace) -> list[DevicePlan]:
    """Return the plans with the credentials of the command line, when there are any.

    One device whose user name is a number, or without --id, is the device that the user name says; else the name of
    each stands in its topics, as with the predecessor's devices, which all share one user name.
    """
    if not arguments.username:
        return list(plans)
    alone = len(plans) == 1 and (arguments.username.isdecimal() or not getattr(arguments, "name", None))
    return [
        replace(
            plan, enrolled=Enrolled(plan.name, arguments.username if alone else plan.name, arguments.password, "given")
        )
        for plan in plans
    ]


def mqtt_network(arguments: argparse.Namespace, options: RunOptions, where: Broker) -> Network:
    """Return what the devices talk to: the broker, and for their keys the service or the broker too."""
    token = os.environ.get("IOTFLOW_ENROLLMENT_TOKEN")
    http = http_client(options.url, connections=options.connections)
    registers_over_http = not (arguments.username or arguments.discovery)
    registrar: Registrar = http if registers_over_http else Discovery(where, enrollment_token=token)

    def trouble() -> str | None:
        return (health_trouble(http, options.url) if registers_over_http else None) or broker_trouble(where)

    def connect(enrolled: Enrolled, device_type: str, counts: Counts) -> Uplink:
        return MqttUplink(
            where,
            topics(arguments, enrolled, device_type),
            client_id=f"iotflow-device-{enrolled.device_id}",
            counts=counts,
        )

    return Network(
        address=where.address,
        registry=options.url if registers_over_http else where.address,
        client=registrar,
        connect=connect,
        trouble=trouble,
        stagger_s=0.0 if arguments.no_stagger else STAGGER_S,
    )


def topics(arguments: argparse.Namespace, enrolled: Enrolled, device_type: str) -> Topics:
    """Return the words that a device uses."""
    if arguments.thingsboard:
        return ThingsBoardTopics(enrolled)
    return IoTFlowTopics(enrolled, device_type, username=arguments.username or "")


def broker_trouble(where: Broker) -> str | None:
    """Return what is wrong with the broker, in a sentence, or None when it listens and can be trusted."""
    try:
        with socket.create_connection((where.host, where.port), CONNECT_TIMEOUT_S) as plain:
            if where.tls is not None:
                where.tls.wrap_socket(plain, server_hostname=where.host).close()
    except ssl.SSLError as error:
        return f"{where.address} cannot be trusted ({error}); give its authority with --ca"
    except OSError as error:
        return f"{where.address} cannot be reached ({error}); start the service with: python3 -m infra up"
    return None


def broker_or_usage_error(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Broker:
    """Return the broker of a command line, or end the program because --ca cannot be used."""
    try:
        return broker(arguments)
    except (OSError, ssl.SSLError) as error:
        parser.error(f"--ca {arguments.ca}: {error}")
