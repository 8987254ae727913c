#include <string>

#include "raft/core/ready.h"
#include "raft/core/status.h"

namespace holdfast::raft {

const char* role_name(Role role) {
  switch (role) {
    case Role::kFollower:
      return "follower";
    case Role::kPreCandidate:
      return "pre-candidate";
    case Role::kCandidate:
      return "candidate";
    case Role::kLeader:
      return "leader";
  }
  return "unknown";
}

const char* progress_state_name(ProgressState state) {
  switch (state) {
    case ProgressState::kProbe:
      return "probe";
    case ProgressState::kReplicate:
      return "replicate";
    case ProgressState::kSnapshot:
      return "snapshot";
  }
  return "unknown";
}

std::string Violation::text() const {
  const std::string who = "node " + std::to_string(from.value);
  const std::string when = " in term " + std::to_string(term.value);
  const std::string where = std::to_string(index.value);
  switch (kind) {
    case Kind::kTwoLeaders:
      return who + " claims to lead" + when + ", which another node leads";
    case Kind::kCommittedConflict:
      return who + " sent" + when + " another entry for committed index " + where;
    case Kind::kLostEntries:
      return who + " holds" + when + " our acknowledgement of index " + where +
             ", which our log does not have: synced data was lost. The data directory is an older "
             "copy, or its disk lost what it had confirmed. Put the latest copy back; if there is "
             "none, empty the directory, start the server under an id that was never used, with "
             "--join, and run `holdfast member replace OLD_ID NEW_ID ADDRESS`";
  }
  return "unknown violation";
}

void Ready::clear() {
  violation.reset();
  soft_state.reset();
  configuration.reset();
  write.number = 0;
  write.hard_state.reset();
  write.entries.clear();
  messages.clear();
  backlog = false;
  committed.clear();
  reads.clear();
  failed_reads.clear();
  snapshot_offer.reset();
}

}  // namespace holdfast::raft
