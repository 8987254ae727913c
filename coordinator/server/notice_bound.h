// How much of a reply the notices of one session may take. Every renewal's reply tells of all
// revocations in force against its session, and a client takes no frame above 8 MiB; so a leader
// judges each revocation before it proposes it, by the state as it is and by the revocations under
// way. (A lock that is granted on the same way is not reckoned: it is held by nobody yet.) All that
// this leader's log has behind its state it has proposed itself in this term. One thread; nothing
// here is replicated.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "coordinator/rsm/command_codec.h"
#include "coordinator/server/host.h"

namespace holdfast::server {

class NoticeBound {
 public:
  static constexpr size_t kBytesMax = 4 << 20;
  static constexpr size_t kBytesOfEach = 64;  ///< beside its path

  explicit NoticeBound(const Host& host) : host_(host) {}

  /// Serving only: why a command is not to be proposed. `entry` is what would stand in the log.
  std::optional<Refusal> judge(const command::CommandHeader& header, std::string_view entry);
  /// What was judged last, and not refused, is to be proposed.
  void take();
  /// What was taken for this origin is proposed at this index, or will not be.
  void proposed(NodeId node, uint64_t request, LogIndex index);
  void give_back(NodeId node, uint64_t request);
  /// What is applied, or was under way in an earlier term, is under way no more.
  void settle();

 private:
  using Origin = std::pair<NodeId, uint64_t>;
  using Holder = std::pair<SessionId, Revision>;
  /// One holder may hold many locks (acquireAll), and has a notice for each.
  using Notice = std::tuple<SessionId, Revision, std::string>;
  using Command = std::pair<SessionId, Sequence>;
  struct Added {
    Origin origin;
    Command command;  ///< zeros without a sequence
    std::string path;
    std::vector<Holder> holders;
    LogIndex index;
  };

  static size_t bytes_of(std::string_view path) { return path.size() + kBytesOfEach; }
  static Command command_of(const command::CommandHeader& header);
  bool judged_before(const command::CommandHeader& header, std::string_view body) const;
  std::vector<Holder> concerned(const command::RevokeLock& revocation) const;
  std::optional<Refusal> too_many(SessionId session, size_t added) const;
  void forget(const Added& added);

  const Host& host_;
  rsm::CommandDecoder decoder_;
  std::optional<Added> judged_;         ///< what take() would take
  Term term_;                           ///< in which all below was taken
  std::map<Origin, Added> gathered_;    ///< not proposed yet
  std::deque<Added> proposed_;          ///< by index
  std::map<Command, size_t> commands_;  ///< of sessions, in the two above: how many copies
  std::map<Notice, size_t> told_;       ///< by how many commands of the two above
};

}  // namespace holdfast::server
