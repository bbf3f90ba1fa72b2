-- The load of one measurement: wrk ... -s bench/load.lua URL -- METHOD BODY...
--
-- Each BODY is a file. The bodies are sent in turn, each to the path in its first line. The last line of the
-- output is a JSON object: requests, errors, seconds, and of the latencies p50 and p99 in milliseconds and
-- how many took over 35 ms.

local bodies, turn = {}, 0

function init(args)
  local method = args[1]
  for index = 2, #args do
    local file = assert(io.open(args[index], "rb"))
    local path = file:read("*l")
    local headers = { ["content-type"] = "application/json" }
    table.insert(bodies, wrk.format(method, path, headers, file:read("*a")))
    file:close()
  end
end

function request()
  turn = turn % #bodies + 1
  return bodies[turn]
end

function done(summary, latency, requests)
  local slow = 0
  for index = 1, #latency do
    local microseconds, count = latency(index)
    if microseconds > 35000 then slow = slow + count end
  end
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "errors": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f, "slow": %d}\n',
    summary.requests, errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, slow))
end
