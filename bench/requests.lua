-- wrk: requests of one kind.  Its arguments: the kind (post, get, list, bulk);
-- a file of tokens, which are taken in turn; the path of the API; how an id
-- begins, the number that the first tenant's ends with, and how many there
-- are; where the numbers of new tenants begin; how many of them a request of
-- "bulk" makes.
--
-- The texts are put together here, once, as far as they are known: what wrk
-- computes for each request, the server cannot.

local threads = 0
local counter = 0
local turn = 0
local heads = {}
local kind, front, first, tenants, base, many

-- wrk runs this in a state of its own, so what a thread is to know is a global
-- of the thread's

function setup(thread)
   thread:set("number", threads)
   threads = threads + 1
end

local function tenant(n)
   return string.format(
      '{"client_name": "Retail %d", "email": "r%d@bench.example"}', n, n)
end

function init(args)
   local path, id = args[3], args[4]
   local open = {
      post = "POST " .. path, get = "GET " .. path .. "/" .. id,
      list = "GET " .. path .. "?limit=25", bulk = "POST " .. path .. "/bulk"
   }

   kind = args[1]
   first, tenants = tonumber(args[5]), tonumber(args[6])
   base, many = tonumber(args[7]), tonumber(args[8])

   -- the same for all requests: a number has always 12 digits
   local length = kind == "post" and #tenant(base) or nil

   for token in io.lines(args[2]) do
      local head = " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\n"
         .. "Authorization: Bearer " .. token .. "\r\n"

      if kind == "post" or kind == "bulk" then
         head = head .. "Content-Type: application/json\r\nContent-Length: "
      end

      if length then
         head = head .. length .. "\r\n\r\n"
      end

      if kind ~= "get" then
         head = open[kind] .. head
      end

      if kind == "get" or kind == "list" then
         head = head .. "\r\n"
      end

      heads[#heads + 1] = head
   end

   front = open.get
   math.randomseed(base + number * 7919)
   turn = number * 50
end

function request()
   turn = turn % #heads + 1
   counter = counter + 1

   if kind == "get" then
      return front .. string.format("%d", first + math.random(0, tenants - 1))
         .. heads[turn]
   end

   if kind == "list" then
      return heads[turn]
   end

   if kind == "post" then
      return heads[turn] .. tenant(base + counter * 100 + number)
   end

   local items = {}
   for i = 1, many do
      items[i] = tenant(base + (counter * 100 + number) * many + i)
   end

   local body = '{"tenants": [' .. table.concat(items, ",") .. "]}"
   return heads[turn] .. #body .. "\r\n\r\n" .. body
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format("result %d %d %d %d %d %d\n", summary.requests,
      summary.duration, latency:percentile(50), latency:percentile(99),
      latency.mean, errors.connect + errors.read + errors.write
         + errors.status + errors.timeout))
end
