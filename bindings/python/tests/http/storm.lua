-- What wrk sends in the storm: the same few keys again and again, from all its connections. It
-- prints how often each kind of answer came, and each receipt that it was given for a key.
--   wrk -s storm.lua URL -- KEYS

local threads = {}

function setup(thread)
  thread:set("sent", #threads * 7)
  table.insert(threads, thread)
end

function init(arguments)
  keys = tonumber(arguments[1])
  answers, receipts = {}, {}
end

function request()
  sent = sent + 1
  local key = "key-" .. sent % keys
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Idempotency-Key"] = key
  wrk.headers["X-Account"] = "acme"
  return wrk.format("POST", "/charges", nil, '{"key":"' .. key .. '"}')
end

function response(status, headers, body)
  local kind = tostring(status)
  for name, value in pairs(headers) do
    if name:lower() == "idempotent-replayed" then kind = kind .. "-replayed" end
  end
  local code = body:match('"code":"([^"]+)"')
  if code then kind = kind .. "-" .. code end
  answers[kind] = (answers[kind] or 0) + 1
  local key = body:match('"charged":%s*"([^"]+)"')
  local receipt = body:match('"receipt":%s*"([^"]+)"')
  if key then receipts[key .. " " .. (receipt or "none")] = 1 end
end

function done(summary)
  for _, thread in ipairs(threads) do
    for kind, count in pairs(thread:get("answers")) do print("answer " .. kind .. " " .. count) end
    for receipt in pairs(thread:get("receipts")) do print("receipt " .. receipt) end
  end
  print("answer timeout " .. summary.errors.timeout)
end
