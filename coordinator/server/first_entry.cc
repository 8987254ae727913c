#include "coordinator/server/first_entry.h"

#include <span>

namespace holdfast::server {

// The log has it until it is cut for the first time, and what is kept beside it from then on.
Result<std::optional<std::string>> find_genesis(const raft::DataDirectory& directory,
                                                bool has_snapshot, const raft::LogStore& log) {
  if (const auto& first = log.recovered().genesis) {
    return std::optional<std::string>(first->data.view());
  }
  auto kept = directory.kept_genesis(kDefaultGroup);
  if (!kept.ok()) return kept.error();
  const bool empty = log.last_index() == LogIndex();
  if (empty && (*kept || directory.identity().cluster || has_snapshot)) {
    return raft::log_lost(directory.path(), directory.identity(), "its log is empty");
  }
  if (!empty && !*kept) {
    return Error{ErrorCode::kCorrupt, directory.path() + ": the log begins at entry " +
                                          std::to_string(log.first_index().value) +
                                          ", and the copy of entry 1 beside it is gone"};
  }
  return kept;
}

Status write_genesis(raft::LogStore& log, const std::string& bytes) {
  if (log.last_index()) {
    return Error{ErrorCode::kInternal, "the log has entries to " +
                                           std::to_string(log.last_index().value) +
                                           " and is not begun anew"};
  }
  raft::Write write;
  write.number = 1;
  write.hard_state = raft::HardState{Term(1), NodeId{}};
  write.entries.push_back({Term(1), LogIndex(1), raft::EntryType::kGenesis, Blob(bytes)});
  const auto appended = log.append(std::span(&write, 1));
  if (!appended.ok()) return appended.error();
  log.publish(*appended);
  return ok_status();
}

}  // namespace holdfast::server
