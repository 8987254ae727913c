// What applying an entry asks of the server: one ordered list per entry. The list is the same on
// every node; each node acts on what concerns its own clients. Row changes are not here: see
// StateMachine::row_changes().
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "session/command_result.h"

namespace holdfast::lockmgr {
enum class EndReason : uint8_t;
enum class RefusalReason : uint8_t;
}  // namespace holdfast::lockmgr

namespace holdfast::rsm {

using session::CommandResult;

/// Values of CommandResult::status of acquire and cancelAcquire; numbers of holdfast.thrift.
enum class AcquireStatus : uint8_t { kGranted = 1, kWaiting = 2, kNotGranted = 3, kNotHeld = 4 };

enum class EffectKind : uint8_t {
  /// The command of origin_node/origin_request came to `result`. One per command that could be
  /// decoded, in whatever way it ended. session and sequence are those of its header.
  kReply,
  /// The acquire (session, sequence) was granted: path, holder_id, token; `result` as kept. Of an
  /// acquireAll one for each lock, all with the same holder_id and token.
  kGranted,
  /// The wait (session, sequence) ended without a grant; `result` as kept.
  kWaitEnded,
  /// A holder lost its lock: path, holder_id, token, end_reason. Every end of a tenure is told; the
  /// poll of a client leaves out what it did itself (kReleased, kHandedOver, kSessionClosed).
  kTenureEnded,
  /// session exists from here on; ttl_ms.
  kSessionOpened,
  /// session is gone, its locks and places too; end_reason.
  kSessionEnded,
  /// session is marked late; silent_ms.
  kLateMarked,
  /// session is no longer marked late. Told also if it was not marked.
  kLateRenewed,
  /// A revocation was announced: session, notice_id, notice_ms, path, holder_id, token; of a whole
  /// session with empty path and no holder. result.message has the operator's words. From here on
  /// every renewal reply carries it. The
  /// leader proposes a tick at once (next_due_ms), which starts the clock of its TTL.
  kRevocationAnnounced,
  /// Replicated settings changed.
  kSettingsChanged,
  /// The entry's bytes are no command; it changed nothing but the applied index. `result` says why.
  kMalformed,
};

/// Which fields are set is said at the kind; the others are zero.
struct Effect {
  EffectKind kind = EffectKind::kReply;
  lockmgr::EndReason end_reason{};
  Revision revision;  ///< of the entry; always set
  SessionId session;
  Sequence sequence;
  Revision holder_id;
  Revision token;
  Revision notice_id;
  int64_t notice_ms = 0;
  int64_t silent_ms = 0;
  int64_t ttl_ms = 0;
  NodeId origin_node;
  uint64_t origin_request = 0;
  std::string path;
  CommandResult result;

  friend bool operator==(const Effect&, const Effect&) = default;
};

/// A reused vector of effects: clear() keeps every string's memory, so that in steady state adding
/// allocates nothing.
class Effects {
 public:
  Effect& add(EffectKind kind, Revision revision);
  void clear() { size_ = 0; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const Effect& operator[](size_t index) const { return items_[index]; }
  const Effect* begin() const { return items_.data(); }
  const Effect* end() const { return items_.data() + size_; }

 private:
  std::vector<Effect> items_;
  size_t size_ = 0;
};

}  // namespace holdfast::rsm
