#include "tests/simulation/sessionless_writes.h"

#include <algorithm>
#include <iterator>

#include "tests/simulation/invariants.h"

namespace holdfast::sim {

namespace {

/// Only a state can refuse so: such a copy is in the log.
bool is_of_a_state(ErrorCode code) {
  return code == ErrorCode::kBadVersion || code == ErrorCode::kKeyExists ||
         code == ErrorCode::kNoKey || code == ErrorCode::kNotEmpty;
}

}  // namespace

/// Of the copies that were sent, those that were refused did nothing, any other did it once at
/// most.
void SessionlessWrites::judge(const std::string& tag, const Write& write) {
  const std::string counts = "'" + tag + "' has no session, left " + std::to_string(write.sent) +
                             " times, was refused " + std::to_string(write.refused) +
                             " times and done " + std::to_string(write.done) + " times";
  if (write.done > write.sent) throw Broken(Rule::kI17, counts);
  if (write.done + write.refused > write.sent) throw Broken(Rule::kI18, counts);
}

void SessionlessWrites::applied(const std::string& tag, int64_t revision, ErrorCode code) {
  Write& write = writes_[tag];
  if (code != ErrorCode::kOk) {
    ++write.judged[code];
    const bool met = code == ErrorCode::kBadVersion || code == ErrorCode::kKeyExists;
    if (met && write.done > 0) world_.mark(Mark::kSessionlessMetItself);
    return;
  }
  ++write.done;
  write.revisions.insert(revision);
  if (write.done == 2) world_.mark(Mark::kSessionlessTwice);
  judge(tag, write);
}

std::vector<int64_t> SessionlessWrites::untold(const std::string& tag) const {
  std::vector<int64_t> untold;
  const auto write = writes_.find(tag);
  if (write == writes_.end()) return untold;
  std::ranges::set_difference(write->second.revisions, write->second.answered,
                              std::back_inserter(untold));
  return untold;
}

void SessionlessWrites::answered(const std::string& tag, int64_t revision) {
  Write& write = writes_[tag];
  if (write.revisions.contains(revision) && write.answered.insert(revision).second) return;
  throw Broken(Rule::kI17, "'" + tag + "' was answered with revision " + std::to_string(revision) +
                               ", which is not in the log as a copy of its own");
}

void SessionlessWrites::refused(const std::string& tag, ErrorCode code) {
  Write& write = writes_[tag];
  ++write.refused;
  judge(tag, write);
  if (!is_of_a_state(code) || ++write.told[code] <= write.judged[code]) return;
  throw Broken(Rule::kI17, "'" + tag + "' was refused with error " +
                               std::to_string(static_cast<int>(code)) +
                               " more often than the log says");
}

void SessionlessWrites::unknown(const std::string& tag, ErrorCode code) {
  if (code != ErrorCode::kOutcomeUnknown) {
    throw Broken(Rule::kI17, "'" + tag + "' has no session, and error " +
                                 std::to_string(static_cast<int>(code)) + " leaves its fate open");
  }
  const Write& write = writes_[tag];
  world_.mark(Mark::kOutcomeUnknown);
  if (write.done == write.sent) world_.mark(Mark::kSessionlessLost);
}

}  // namespace holdfast::sim
