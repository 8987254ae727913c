// Entry 1, which makes a server's directory that of a cluster: how a start finds it, and how it is
// taken. Behind write_genesis() comes DataDirectory::keep_genesis(), and only then may the server
// vote or acknowledge anything.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "raft/storage/data_directory.h"
#include "raft/storage/log_store.h"

namespace holdfast::server {

/// Entry 1, if the directory belongs to a cluster. CORRUPT: it did, and the log was lost, or the
/// log was cut and the copy of entry 1 beside it was lost. `has_snapshot`: there is one beside it.
Result<std::optional<std::string>> find_genesis(const raft::DataDirectory& directory,
                                                bool has_snapshot, const raft::LogStore& log);

/// Makes entry 1 durable, with the term it stands in; the log is empty.
Status write_genesis(raft::LogStore& log, const std::string& bytes);

}  // namespace holdfast::server
