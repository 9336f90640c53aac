#!/bin/bash
# A ConfigNode and a DataNode. As in the official image, variables in small letters become settings.
set -eu
home=/iotdb
{
    echo schema_replication_factor=1
    echo data_replication_factor=1
    env | grep -E '^(cn|dn)_[a-z_]+=|^(wal_mode|enable_partial_insert|timestamp_precision)='
} >$home/conf/iotdb-system.properties
options=(-XX:+UseSerialGC "-Dlogback.configurationFile=$home/conf/logback.xml" "-DTSFILE_HOME=$home" "-DTSFILE_CONF=$home/conf")
for package in java.util.concurrent java.lang java.util java.nio java.io java.net; do
    options+=("--add-opens=java.base/$package=ALL-UNNAMED")
done
for node in IOTDB CONFIGNODE; do
    options+=("-D${node}_HOME=$home" "-D${node}_DATA_HOME=$home" "-D${node}_CONF=$home/conf" "-D${node}_LOG_DIR=$home/logs")
done
trap 'kill $(jobs -p); wait' TERM INT
java "${options[@]}" -Xmx96m -cp "$home/lib/*" org.apache.iotdb.confignode.service.ConfigNode -s &
until (: </dev/tcp/"$cn_internal_address"/10710) 2>/dev/null; do sleep 0.2; done
java "${options[@]}" -Xmx512m -XX:MaxDirectMemorySize=128m -DOFF_HEAP_MEMORY=128m -cp "$home/lib/*" org.apache.iotdb.db.service.DataNode -s &
wait -n
