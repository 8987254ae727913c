#include "raft/core/config.h"

#include <string>

namespace holdfast::raft {
namespace {

Error bad(const char* name, uint64_t value, const std::string& limit) {
  return {ErrorCode::kBadArgument,
          std::string(name) + " is " + std::to_string(value) + ", must be " + limit};
}

uint64_t ns(Duration d) { return static_cast<uint64_t>(d.count()); }

}  // namespace

holdfast::Status validate(const Config& c) {
  if (!c.id) return bad("id", 0, "positive");
  if (!c.group) return bad("group", 0, "positive");
  if (c.heartbeat_interval <= 0ns) return bad("heartbeat_interval", 0, "positive");
  if (c.election_timeout_min < 2 * c.heartbeat_interval) {
    return bad("election_timeout_min ns", ns(c.election_timeout_min), "two heartbeat intervals");
  }
  if (c.election_timeout_max <= c.election_timeout_min) {
    return bad("election_timeout_max ns", ns(c.election_timeout_max), "above the minimum");
  }
  if (c.fast_rank_stagger < 0ns || c.fast_retry_min <= 0ns ||
      c.fast_retry_max <= c.fast_retry_min) {
    return bad("fast_retry_max ns", ns(c.fast_retry_max), "above fast_retry_min, both positive");
  }
  if (c.max_inflight_messages == 0) return bad("max_inflight_messages", 0, "positive");
  if (c.max_inflight_bytes == 0) return bad("max_inflight_bytes", 0, "positive");
  if (c.max_append_bytes == 0) return bad("max_append_bytes", 0, "positive");
  if (c.max_catchup_bytes < c.max_append_bytes) {
    return bad("max_catchup_bytes", c.max_catchup_bytes, "at least max_append_bytes");
  }
  if (c.paced_append_bytes == 0) return bad("paced_append_bytes", 0, "positive");
  if (c.catchup_bytes_per_second == 0) return bad("catchup_bytes_per_second", 0, "positive");
  if (c.max_committed_bytes == 0) return bad("max_committed_bytes", 0, "positive");
  if (c.max_pending_reads == 0) return bad("max_pending_reads", 0, "positive");
  return ok_status();
}

}  // namespace holdfast::raft
