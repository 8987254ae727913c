// Locks as plain vectors: slow, and simple enough to be right at sight. Shares no code with
// lockmgr/, only its vocabulary.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lockmgr/types.h"

namespace holdfast::lockmgr {

/// One claim of one acquire, waiting or holding.
struct ModelClaim {
  uint64_t holder_id = 0;
  uint64_t index = 0;
  uint64_t session = 0;
  uint64_t sequence = 0;
  std::string path;
  LockMode mode = LockMode::kExclusive;
  uint32_t permits = 0;
  uint32_t limit = 0;
  int64_t deadline_ms = 0;  ///< 0 = none
  int64_t delay_ms = 0;
  int64_t ttl_ms = 0;
  int64_t since_ms = 0;
  bool is_try = false;
  std::string value;
  uint64_t token = 0;  ///< 0 while it waits
  uint64_t notice_id = 0;
  int64_t announced_ms = 0;
  int64_t notice_ms = 0;
  bool acknowledged = false;
  bool counted = false;
  std::optional<int64_t> give_away_ms;
};

struct ModelTenure {
  ModelClaim claim;
  uint64_t end_revision = 0;
  EndReason reason = EndReason::kReleased;
};

struct ModelRefusal {
  uint64_t session, sequence;
  RefusalReason reason;
  friend auto operator<=>(const ModelRefusal&, const ModelRefusal&) = default;
};

class LockModel {
 public:
  void begin(uint64_t revision, int64_t now_ms);
  void run_due();
  /// False where the table answers an error.
  bool acquire(uint64_t session, uint64_t sequence, int64_t ttl_ms,
               const std::vector<Claim>& claims, const AcquireOptions& options);
  CancelStatus cancel(uint64_t session, uint64_t sequence);
  ReleaseStatus release(const std::string& path, uint64_t holder_id, uint64_t session, uint64_t to);
  size_t release_all(uint64_t holder_id, uint64_t session);
  bool set_value(const std::string& path, uint64_t holder_id, uint64_t session,
                 const std::string& value);
  size_t revoke(const std::string& path, uint64_t holder_id, int64_t notice_ms, bool force);
  size_t acknowledge(uint64_t session, uint64_t notice_id);
  void start_clocks(uint64_t applied);
  void end_sessions(const std::vector<SessionEnd>& ends);
  void settle();

  std::vector<ModelClaim> holders(const std::string& path) const;
  std::vector<ModelClaim> waiters(const std::string& path) const;
  std::vector<ModelTenure> tenures(const std::string& path) const;  ///< latest first
  std::vector<ModelClaim> claims_of(uint64_t session, uint64_t sequence) const;
  uint64_t position(uint64_t session, uint64_t sequence) const;
  int64_t closed_until(const std::string& path) const;
  std::optional<int64_t> next_due_ms() const;
  std::vector<std::string> paths() const;

  std::vector<ModelClaim> held, waiting;  ///< waiting: in order of arrival
  std::vector<ModelTenure> past;
  std::vector<ModelClaim> granted;  ///< in the present entry
  std::vector<ModelRefusal> refused;

 private:
  bool fits(const ModelClaim& claim) const;
  bool heads_its_queue(const ModelClaim& claim) const;
  bool grant_one();
  void grant(uint64_t holder_id);
  void refuse(uint64_t holder_id, RefusalReason reason);
  void end(const ModelClaim& holder, EndReason reason);
  const ModelClaim* holder(const std::string& path, uint64_t holder_id, uint64_t session) const;

  std::map<std::string, int64_t> closed_;
  uint64_t revision_ = 0;
  int64_t now_ms_ = 0;
};

}  // namespace holdfast::lockmgr
