-- What wrk sends: the same requests as infra/bench/generator.py makes. Arguments: file of keys, readings a request,
-- first timestamp in epoch seconds. One reading has no timestamp; those of a batch are a second apart.
local PATH = "/api/v1/devices/telemetry"
local VALUES = '{"temperature":21.5,"humidity":48.25,"pressure":1013.1,"battery":87,"online":true}'

function init(args)
  keys, sent = {}, 0
  readings, first_s = tonumber(args[2]), tonumber(args[3])
  for key in io.lines(args[1]) do keys[#keys + 1] = key end
  single = {}
  for at, key in ipairs(keys) do single[at] = wrk.format("POST", PATH, headers(key), '{"data":' .. VALUES .. "}") end
end

function headers(key)
  return {["X-API-Key"] = key, ["Content-Type"] = "application/json"}
end

function request()
  local at = sent % #keys + 1
  local start_s = first_s + math.floor(sent / #keys) * readings
  sent = sent + 1
  if readings == 1 then return single[at] end
  local parts = {}
  for number = 1, readings do
    local stamp = os.date("!%Y-%m-%dT%H:%M:%SZ", start_s + number)
    parts[number] = '{"timestamp":"' .. stamp .. '","data":' .. VALUES .. "}"
  end
  return wrk.format("POST", PATH, headers(keys[at]), '{"readings":[' .. table.concat(parts, ",") .. "]}")
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"answers":%d,"refused":%d,"broken":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"longest_ms":%.3f}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
