-- What wrk sends, and how it says what it found: one line that load.sh reads.
wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer alice-token"
wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101"
wrk.headers["X-Request-Id"] = "3f2c9a8e51d04b7c"

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("FOUND %.0f %.3f %.3f %d\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))
end
