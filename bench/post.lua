-- wrk: POST of a tenant, with a new e-mail address each time.  Its arguments:
-- a token, and a word that tells this run from others.

local thread_number = 0
local token, run
local counter = 0

function setup(thread)
   thread_number = thread_number + 1
   thread:set("number", thread_number)
end

function init(args)
   token, run = args[1], args[2]
   wrk.headers["Authorization"] = "Bearer " .. token
   wrk.headers["Content-Type"] = "application/json"
end

function request()
   counter = counter + 1
   return wrk.format("POST", "/api/provisioning/tenants", nil, string.format(
      '{"client_name": "Acme Retail", "email": "%s-%d-%d@example.com"}',
      run, number, counter))
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format("result %d %d %d %d %d\n", summary.requests,
      summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.status
         + errors.timeout))
end
