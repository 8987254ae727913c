// A node's directory: who it belongs to, and the lock that keeps a second process out.
//
//   LOCK             held while a process uses the directory; holds its process id
//   identity         node id and store id, in text, checksummed
//   cluster          id of the cluster that the store belongs to, likewise; from entry 1 on
//   group-1/genesis  entry 1 of its log, checksummed: the log itself is cut some day
//   group-1/log/     the log of group 1 (log_store.h)
//   group-1/snapshot/  its snapshot (coordinator/snapshot/store.h)
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/entropy.h"
#include "base/error.h"
#include "base/ids.h"
#include "raft/storage/file_system.h"

namespace holdfast::raft {

struct StoreIdentity {
  NodeId node;
  StoreId store;
  ClusterId cluster = {};  ///< zero: it has taken no entry 1 yet
  friend bool operator==(const StoreIdentity&, const StoreIdentity&) = default;
};

/// Text of the identity file, which says nothing of the cluster, and back. CORRUPT names what is
/// wrong with it.
std::string encode_identity(const StoreIdentity& identity);
Result<StoreIdentity> decode_identity(const std::string& text, const std::string& path);

/// Likewise of the file `cluster`. It is a file of its own so that programs which do not know it
/// read the directory too: a server may go back to one (docs/operations.md, "Upgrading").
std::string encode_cluster(ClusterId cluster);
Result<ClusterId> decode_cluster(const std::string& text, const std::string& path);

/// Reads both files without locking anything; for offline tools.
Result<StoreIdentity> read_identity(FileSystem& files, const std::string& directory);

/// CORRUPT, for a store that belonged to a cluster, and has nothing more of its log: `missing` says
/// where that was looked for. It must not begin again under its store id: its peers would count the
/// votes and entries of a server that has forgotten what it promised (PROMISE 8).
Error log_lost(const std::string& directory, const StoreIdentity& identity,
               const std::string& missing);

class DataDirectory {
 public:
  /// Locks the directory (its parent must exist) and reads its identity; on first use mints a store
  /// id and makes it durable. BAD_ARGUMENT: the path is none that can be used, it is in use by
  /// another process (named), belongs to another node, or has no identity and holds files that are
  /// none of a server's (one is named): then nothing is made in it. CORRUPT: the identity cannot be
  /// read, or the store belongs to a cluster and holds nothing of any group: then nothing is made
  /// in it, so that a group's directory on a file system of its own can still be mounted. `files`
  /// must outlive the result.
  static Result<std::unique_ptr<DataDirectory>> open(FileSystem& files, Entropy& entropy,
                                                     const std::string& path, NodeId node);

  /// For whoever makes a server's directory before there is one: locks it, makes it if it is not
  /// there, and draws an identity that is not written. BAD_ARGUMENT: it is not empty, or as open().
  /// No server starts from it while it holds a group and no identity, so what fills it may end at
  /// any moment; establish() comes last.
  static Result<std::unique_ptr<DataDirectory>> begin(FileSystem& files, Entropy& entropy,
                                                      const std::string& path, NodeId node);
  /// What begin() would say of the path, as far as can be known without making anything: for those
  /// with much to do before.
  static Status check_beginning(FileSystem& files, const std::string& path);
  /// Makes the identity durable.
  Status establish();

  NodeId node() const { return identity_.node; }
  StoreId store() const { return identity_.store; }
  const StoreIdentity& identity() const { return identity_; }
  const std::string& path() const { return path_; }
  /// The directory of the group's log; made, and its name made durable, if it was not there.
  Result<std::string> log_directory(GroupId group);
  /// Likewise that of its snapshot.
  Result<std::string> snapshot_directory(GroupId group);
  /// BAD_ARGUMENT: the store belongs to another cluster.
  Status check_cluster(ClusterId cluster) const;
  /// Keeps entry 1 of the group's log, which is durable there, and then the cluster that it founds,
  /// unless they are kept already. To be called before the store votes or acknowledges anything: by
  /// the cluster a start knows that it did, whatever else was lost. BAD_ARGUMENT: the store belongs
  /// to another cluster.
  Status keep_genesis(GroupId group, ClusterId cluster, const std::string& genesis);
  /// What was kept, or nothing. CORRUPT if it cannot be read back.
  Result<std::optional<std::string>> kept_genesis(GroupId group) const;

 private:
  DataDirectory(FileSystem& files, std::string path, std::unique_ptr<FileLock> lock,
                StoreIdentity identity);
  Result<std::string> directory_of_group(GroupId group, const std::string& path);
  static Result<std::unique_ptr<FileLock>> enter(FileSystem& files, const std::string& path);
  static Status check_ours(FileSystem& files, const std::string& path);
  static Status check_empty(FileSystem& files, const std::string& path);
  static Result<StoreIdentity> establish_identity(FileSystem& files, Entropy& entropy,
                                                  const std::string& path, NodeId node);
  Status check_not_lost() const;
  Status keep_bytes(GroupId group, const std::string& genesis);

  FileSystem& files_;
  const std::string path_;
  std::unique_ptr<FileLock> lock_;
  StoreIdentity identity_;
};

/// N of group-N, and of nothing else that happens to begin so.
std::optional<GroupId> group_named(std::string_view name);
/// "DIR/group-1/log", whether it exists or not.
std::string log_directory_path(const std::string& data_directory, GroupId group);
/// "DIR/group-1/snapshot"
std::string snapshot_directory_path(const std::string& data_directory, GroupId group);

}  // namespace holdfast::raft
