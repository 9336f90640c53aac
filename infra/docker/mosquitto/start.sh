#!/bin/sh
# What the container of docker-compose.yml runs: on the first start, accounts with random passwords; then the broker.
# The bridge's password: docker compose exec mosquitto cat /mosquitto/data/accounts.json
set -eu
umask 077
given=/iotflow
home=/mosquitto/data

hash_of() { # NAME PASSWORD: "ITERATIONS SALT HASH" in the broker's own format
    : >"$home/.hashed"
    mosquitto_passwd -b "$home/.hashed" "$1" "$2"
    cut -d'$' -f3- "$home/.hashed" | tr '$' ' '
    rm "$home/.hashed"
}

cp "$given/mosquitto.conf" "$given/acl" "$home/"
if [ ! -f "$home/accounts.json" ]; then
    cp "$given/dynsec.json" "$home/.dynsec.json"
    accounts=
    for name in admin bridge; do
        password=$(head -c 24 /dev/urandom | base64 | tr '+/' '-_')
        # shellcheck disable=SC2046 # three words are meant
        set -- $(hash_of "$name" "$password")
        sed -i -e "s|\"@${name}_iterations@\"|$1|" -e "s|@${name}_salt@|$2|" -e "s|@${name}_password@|$3|" "$home/.dynsec.json"
        accounts="$accounts${accounts:+, }\"$name\": \"$password\""
    done
    mv "$home/.dynsec.json" "$home/dynsec.json"
    echo "{$accounts}" >"$home/accounts.json"
fi
chown -R mosquitto "$home"
exec mosquitto -c "$home/mosquitto.conf"
