/* Publishes over MQTT 3.1.1 with QoS 1 as fast as it is acknowledged, from one process, so that the gateway and not its
 * client is what is measured.
 *
 *   mqtt_load PORT WINDOW SECONDS [RATE] < devices        a line for each connection: DEVICE_ID KEY
 *
 * Prints how many messages were acknowledged and in how many seconds. Each has 5 values and a time of its own. RATE is
 * the most messages a second, of all connections together.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 16384
#define MAX_PACKET 512
#define FIRST_MS 1400000000000LL
#define MS_BETWEEN_RUNS 100000LL

typedef unsigned char byte;

struct connection {
    int socket;
    char topic[64];
    long sent, acknowledged;
    byte rest[4];
    int rest_bytes;
};

static struct connection connections[MAX_CONNECTIONS];
static long long first_ms; /* runs that begin in different seconds write different points */
static double began_s, rate;
static long sent_by_all;

static void fail(const char *what) {
    fprintf(stderr, "mqtt_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static byte *put_text(byte *at, const char *text) {
    size_t length = strlen(text);
    *at++ = length >> 8;
    *at++ = length & 255;
    memcpy(at, text, length);
    return at + length;
}

static int put_packet(byte *out, byte first, const byte *body, int length) {
    int at = 0, rest = length;
    out[at++] = first;
    do {
        out[at++] = (rest & 127) | (rest > 127 ? 128 : 0);
        rest >>= 7;
    } while (rest);
    memcpy(out + at, body, length);
    return at + length;
}

static void write_all(int socket, const byte *data, int length) {
    while (length > 0) {
        ssize_t written = write(socket, data, length);
        if (written < 0)
            fail("write");
        data += written;
        length -= written;
    }
}

static void sign_in(struct connection *each, int port, const char *id, const char *key) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    each->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (each->socket < 0 || connect(each->socket, (struct sockaddr *)&address, sizeof address))
        fail("connect");
    setsockopt(each->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    byte body[MAX_PACKET], packet[MAX_PACKET + 5], answer[4];
    byte *at = put_text(body, "MQTT");
    memcpy(at, "\x04\xc2\x00\x00", 4);
    at = put_text(put_text(put_text(at + 4, id), id), key); /* a broker wants client ids that differ */
    write_all(each->socket, packet, put_packet(packet, 0x10, body, at - body));
    if (recv(each->socket, answer, 4, MSG_WAITALL) != 4 || answer[3])
        fail("the gateway refused the connection");
    snprintf(each->topic, sizeof each->topic, "iotflow/devices/%s/telemetry", id);
}

static void fill(struct connection *each, int window) {
    static byte out[1 << 20];
    int length = 0;
    long allowed = rate > 0 ? (long)((now_s() - began_s) * rate) : sent_by_all + window;
    while (each->sent - each->acknowledged < window && sent_by_all < allowed && length < (int)sizeof out - MAX_PACKET) {
        byte body[MAX_PACKET];
        byte *at = put_text(body, each->topic);
        int packet_id = each->sent % 65535 + 1;
        *at++ = packet_id >> 8;
        *at++ = packet_id & 255;
        at += sprintf((char *)at,
                      "{\"data\":{\"temperature\":%.1f,\"humidity\":%ld,\"pressure\":1013.25,\"ok\":true,\"n\":%ld},"
                      "\"timestamp\":%lld}",
                      20 + each->sent % 100 / 10.0, each->sent % 100, each->sent, first_ms + each->sent);
        length += put_packet(out + length, 0x32, body, at - body);
        each->sent++;
        sent_by_all++;
    }
    write_all(each->socket, out, length);
}

/* Counts PUBACKs, which have four bytes each; anything else ends the run. */
static void take(struct connection *each) {
    byte in[65536];
    memcpy(in, each->rest, each->rest_bytes);
    ssize_t got = read(each->socket, in + each->rest_bytes, sizeof in - each->rest_bytes);
    if (got <= 0)
        fail("the gateway closed a connection");
    int length = each->rest_bytes + got, at = 0;
    for (; length - at >= 4; at += 4) {
        if (in[at] != 0x40)
            fail("not a PUBACK");
        each->acknowledged++;
    }
    each->rest_bytes = length - at;
    memcpy(each->rest, in + at, each->rest_bytes);
}

int main(int count, char **arguments) {
    if (count != 4 && count != 5) {
        fprintf(stderr, "usage: mqtt_load PORT WINDOW SECONDS [RATE] < devices\n");
        return 2;
    }
    int port = atoi(arguments[1]), window = atoi(arguments[2]), number = 0, turn = 0, poll = epoll_create1(0);
    double seconds = atof(arguments[3]);
    rate = count == 5 ? atof(arguments[4]) : 0;
    first_ms = FIRST_MS + (long long)(time(NULL) % 1000000) * MS_BETWEEN_RUNS;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    char id[32], key[128];
    while (number < MAX_CONNECTIONS && scanf("%31s %127s", id, key) == 2) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[number]};
        sign_in(&connections[number], port, id, key);
        epoll_ctl(poll, EPOLL_CTL_ADD, connections[number].socket, &event);
        number++;
    }
    if (!window) { /* hold the connections until our input's reader is told to end */
        printf("%d\n", number);
        fflush(stdout);
        sleep((unsigned)seconds);
        return 0;
    }
    began_s = now_s();
    for (int each = 0; each < number; each++)
        fill(&connections[each], window);
    while (now_s() - began_s < seconds) {
        struct epoll_event ready[256];
        int found = epoll_wait(poll, ready, 256, rate > 0 ? 1 : 1000);
        for (int each = 0; each < found; each++) {
            take(ready[each].data.ptr);
            if (rate == 0)
                fill(ready[each].data.ptr, window);
        }
        /* With a pace each connection gets its turn with one message, as a fleet would send. */
        for (int each = 0; rate > 0 && each < number; each++, turn = (turn + 1) % number) {
            long next = connections[turn].sent - connections[turn].acknowledged + 1;
            if (sent_by_all >= (long)((now_s() - began_s) * rate))
                break;
            fill(&connections[turn], next < window ? next : window);
        }
    }
    long acknowledged = 0;
    for (int each = 0; each < number; each++)
        acknowledged += connections[each].acknowledged;
    printf("%ld %.3f\n", acknowledged, now_s() - began_s);
    return 0;
}
