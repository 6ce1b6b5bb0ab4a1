-- wrk's side of the benchmark of order entry: sends the signed requests of a file, each once, and prints the outcome.
-- Usage: wrk ... -s order_entry.lua URL -- FILE [repeat]. Without a `response` function wrk looks only at the status.

local data
local again
local position = 1

function init(args)
   local file = assert(io.open(args[1], "rb"))
   data = file:read("*a")
   file:close()
   again = args[2] == "repeat"
end

function request()
   local stop = string.find(data, "\0", position, true)
   if stop == nil then
      position = 1
      stop = string.find(data, "\0", position, true)
      if not again then -- all sent; should one be repeated before the stop, the check in the database finds it
         wrk.thread:stop()
      end
   end
   local found = string.sub(data, position, stop - 1)
   position = stop + 1
   return found
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests":%d,"seconds":%.6f,"refused":%d,"failed":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
      summary.requests, summary.duration / 1e6, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
