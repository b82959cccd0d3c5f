-- Posts the bodies of a directory in turn and prints one JSON line at the end.
-- Arguments after "--": directory, number of bodies, content type.
local requests, position = {}, 0

function init(arguments)
  local directory, count, content_type = arguments[1], tonumber(arguments[2]), arguments[3]
  for index = 0, count - 1 do
    local file = assert(io.open(directory .. "/" .. index, "rb"))
    local body = file:read("*a")
    file:close()
    requests[index] = wrk.format("POST", nil, { ["Content-Type"] = content_type }, body)
  end
  position = math.random(0, count - 1)
end

function request()
  position = (position + 1) % (#requests + 1)
  return requests[position]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "errors": %d, "p50": %.4f, "p99": %.4f}\n',
    summary.requests,
    summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3
  ))
end
