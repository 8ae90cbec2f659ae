-- The merge of two states of one view, section by section; apply.lua comes after it in one script.
--
-- A state is, for each section, its length as a u32 and that many bytes (features/state.py). A spec has 9 bytes each,
-- kind and float64 parameter: a add, n min, x max (tiles kept), d decayed (half-life in ms), w newest (limit),
-- r register, l last.

local match = string.match

-- The sections of a view: kind and parameter of each.
local function parse(spec)
  local kinds, parameters = {}, {}
  for i = 1, #spec / 9 do
    kinds[i], parameters[i] = get('>Bd', spec, i * 9 - 8)
  end
  return kinds, parameters
end

-- What comes often is merged in place: more at known keys, or in the newest tile, or new items in the order of time.
-- The delta's section is d[q, stop_d), the state's s[p, stop); s is copied to `out`, of k strings, up to `copied`.
-- Returns k and `copied` anew; nil where it is not as simple.

local function in_newest_tile(s, p, stop, d, q, stop_d, _, out, k, copied)
  if stop_d - q > 16 or stop == p then return end
  local high, low, a = get('>I4I4d', s, stop - 16)
  local high_d, low_d, b = get('>I4I4d', d, q)
  if high ~= high_d or low ~= low_d then return end
  out[k + 1] = sub(s, copied, stop - 9)
  out[k + 2] = put('>d', a + b)
  return k + 2, stop
end

local function at_known_keys(s, p, stop, d, q, stop_d, half_life, out, k, copied)
  for r = q, stop_d - 24, 24 do
    local key = sub(d, r, r + 7)
    local at = find(s, key, p, true)
    while at and at < stop and (at - p) % 24 ~= 0 do
      at = find(s, key, at + 1, true)
    end
    if not at or at >= stop then return end
    local t1, a = get('>I8d', s, at + 8)
    local t2, b = get('>I8d', d, r + 8)
    out[k + 1] = sub(s, copied, at + 7)
    if t1 < t2 then
      out[k + 2] = put('>I8d', t2, a * 2 ^ ((t1 - t2) / half_life) + b)
    else
      out[k + 2] = put('>I8d', t1, a + b * 2 ^ ((t2 - t1) / half_life))
    end
    k, copied, p = k + 2, at + 24, at + 24
  end
  return k, copied
end

local function new_items(s, p, stop, d, q, stop_d, limit, out, k, copied)
  if stop == p or not older(s, stop - 16, d, q) then return end
  for r = q, stop_d - 16, 16 do
    if find_item(s, p, stop, d, r) then return end
  end
  local size = stop - p + stop_d - q
  local dropped = math.max(0, size - 16 * limit)
  out[k + 1] = sub(s, copied, p - 5)
  out[k + 2] = put('>I4', size - dropped)
  out[k + 3] = sub(s, p + dropped, stop - 1)
  out[k + 4] = sub(d, q, stop_d - 1)
  return k + 4, stop
end

local IN_PLACE = { [97] = in_newest_tile, [100] = at_known_keys, [119] = new_items }

-- Merges a delta into a state.
local function merge(s, d, kinds, parameters)
  local out, k, copied = {}, 0, 1
  local p, q, section = 1, 1, 1
  while q < #d do
    local size_d = get('>I4', d, q)
    if size_d == 0 then
      local touched = match(d, '^%z*()', q + 4)
      if touched > #d then break end
      local empty = floor((touched - q) / 4)
      for _ = 1, empty do
        p = p + 4 + get('>I4', s, p)
      end
      section, q = section + empty, q + empty * 4
      size_d = get('>I4', d, q)
    end
    local size_s = get('>I4', s, p)
    local stop, stop_d = p + 4 + size_s, q + 4 + size_d
    local kind, parameter = kinds[section], parameters[section]
    local often, done, up_to = IN_PLACE[kind]
    if often then done, up_to = often(s, p + 4, stop, d, q + 4, stop_d, parameter, out, k, copied) end
    if done then
      k, copied = done, up_to
    else
      local merged = sub(d, q + 4, stop_d - 1)
      if size_s > 0 then merged = MERGES[kind](sub(s, p + 4, stop - 1), merged, parameter) end
      out[k + 1] = sub(s, copied, p - 1)
      out[k + 2] = put('>I4', #merged)
      out[k + 3] = merged
      k, copied = k + 3, stop
    end
    p, q, section = stop, stop_d, section + 1
  end
  out[k + 1] = sub(s, copied)
  return concat(out, '', 1, k + 1)
end
