-- wrk: GET by id, over all of the tenants that bench/run has made.  Its
-- arguments: a token, and how many tenants there are.

local token, tenants

function setup(thread)
   thread:set("seed", math.random(2 ^ 30))
end

function init(args)
   token, tenants = args[1], tonumber(args[2])
   math.randomseed(seed)
   wrk.headers["Authorization"] = "Bearer " .. token
end

function request()
   local n = math.random(0, tenants - 1)
   return wrk.format("GET", string.format(
      "/api/provisioning/tenants/00000000-0000-7000-8000-%012x", n))
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format("result %d %d %d %d %d\n", summary.requests,
      summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.status
         + errors.timeout))
end
