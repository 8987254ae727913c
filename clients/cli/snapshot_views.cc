#include "clients/cli/snapshot_views.h"

#include <sys/stat.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/entropy.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/table.h"
#include "raft/storage/posix_file_system.h"

namespace holdfast::cli {
namespace {

using nlohmann::json;

/// A message about the file that `path` led to, with the name that the user knows it by.
std::string as_given(std::string message, const std::string& resolved, const std::string& path) {
  for (size_t at = 0; (at = message.find(resolved, at)) != std::string::npos; at += path.size()) {
    message.replace(at, resolved.size(), path);
  }
  return message;
}

json to_json(const raft::Member& member) {
  return {{"node_id", member.id.value},
          {"client_address", member.client_address},
          {"peer_address", member.peer_address},
          {"store_id", member.store.value}};
}

}  // namespace

Result<std::string> real_file(const std::string& path) {
  char resolved[PATH_MAX];
  struct stat info {};
  if (::realpath(path.c_str(), resolved) == nullptr || ::stat(resolved, &info) != 0) {
    return Error{ErrorCode::kBadArgument, path + ": " + std::generic_category().message(errno)};
  }
  if (S_ISREG(info.st_mode)) return std::string(resolved);
  return Error{ErrorCode::kBadArgument, path + " is no regular file"};
}

Result<loading::SnapshotFile> look_at(const std::string& path) {
  const auto file = real_file(path);
  if (!file.ok()) return file.error();
  raft::PosixFileSystem files;
  SystemEntropy entropy;
  auto seen = loading::examine(files, *file, entropy.next_u64());
  if (!seen.ok()) return Error{seen.error().code, as_given(seen.error().message, *file, path)};
  seen->path = path;
  return seen;
}

int report_snapshot(const Error& error) {
  std::fprintf(stderr, "holdfast: %s\n", printable(error.message).c_str());
  switch (error.code) {
    case ErrorCode::kBadArgument:
      return kExitUsage;
    case ErrorCode::kUnsupported:
      return kExitRefused;
    default:
      return kExitDamaged;
  }
}

std::string describe(const loading::SnapshotFile& file) {
  const snapshot::SnapshotHead& head = file.head;
  return "the state of cluster " + std::to_string(head.cluster.value) + " at revision " +
         std::to_string(head.applied.value) + " of term " +
         std::to_string(head.applied_term.value) + ", written by node " +
         std::to_string(head.node.value) + " at " + format_time(head.written_unix_ms) +
         ", digest " + snapshot::to_text(head.digest) + ", " + format_bytes(file.bytes);
}

json to_json(const loading::SnapshotFile& file) {
  json members = json::array();
  for (const raft::Member& member : file.members) members.push_back(to_json(member));
  return {{"file", file.path},
          {"cluster_id", file.head.cluster.value},
          {"node_id", file.head.node.value},
          {"revision", file.head.applied.value},
          {"term", file.head.applied_term.value},
          {"state_digest", snapshot::to_text(file.head.digest)},
          {"written_unix_ms", file.head.written_unix_ms},
          {"sessions", file.sessions},
          {"locks", file.locks},
          {"waiters", file.waiters},
          {"keys", file.keys},
          {"members", std::move(members)},
          {"other_views", file.other_views},
          {"bytes", file.bytes}};
}

std::string format_bytes(uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

}  // namespace holdfast::cli
