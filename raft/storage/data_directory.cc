#include "raft/storage/data_directory.h"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <utility>

#include "base/bytes.h"
#include "base/checksum.h"

namespace holdfast::raft {
namespace {

constexpr const char* kLockName = "LOCK";
constexpr const char* kIdentityName = "identity";
constexpr const char* kNewIdentityName = "identity.new";  // see replace_file()
constexpr uint64_t kIdentityBytesMax = 4096;
constexpr const char* kClusterName = "cluster";
constexpr const char* kNewClusterName = "cluster.new";
/// What the name of a group's directory begins with; its number follows.
constexpr std::string_view kGroupPrefix = "group-";
constexpr const char* kGenesisName = "genesis";
constexpr uint64_t kGenesisBytesMax = 1 << 20;
/// Of a file system's own, at the top of it.
constexpr const char* kLostAndFound = "lost+found";
/// What the names of the server's flag file and log files begin with.
constexpr std::string_view kOfTheServer = "holdfastd";
constexpr std::string_view kFirstLine = "holdfast-identity 1\n";
constexpr std::string_view kClusterFirstLine = "holdfast-cluster 1\n";

std::string checksum_line(std::string_view text) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx",
                static_cast<unsigned long long>(checksum64(text)));
  return std::string("checksum ") + digits + "\n";
}

/// Takes "NAME number\n" off the front of `text`; zero if something else stands there.
uint64_t take_number(std::string_view& text, std::string_view name) {
  if (!text.starts_with(name)) return 0;
  const char* const end = text.data() + text.size();
  uint64_t value = 0;
  const auto [stop, failure] = std::from_chars(text.data() + name.size(), end, value);
  if (failure != std::errc() || stop == end || *stop != '\n') return 0;
  text.remove_prefix(static_cast<size_t>(stop + 1 - text.data()));
  return value;
}

Error corrupt(const std::string& path, const std::string& what) {
  return {ErrorCode::kCorrupt, path + ": " + what +
                                   "; it names the node and the store that this directory belongs "
                                   "to and cannot be made up: restore it from a copy, or give the "
                                   "node an empty directory and join it as a new member"};
}

Error cluster_corrupt(const std::string& path, const std::string& what) {
  return {ErrorCode::kCorrupt, path + ": " + what +
                                   "; it names the cluster that this store belongs to: restore it "
                                   "from a copy, or give the node an empty directory and join it "
                                   "as a new member"};
}

/// Zero: there is no such file.
Result<ClusterId> read_cluster(FileSystem& files, const std::string& directory) {
  const std::string path = directory + "/" + kClusterName;
  auto there = files.exists(path);
  if (!there) return there.error().to_error();
  if (!*there) return ClusterId();
  auto text = read_file(files, path, kIdentityBytesMax);
  if (text) return decode_cluster(*text, path);
  if (text.error().number == EFBIG) return cluster_corrupt(path, text.error().detail);
  return text.error().to_error();
}

IoStatus make_directory(FileSystem& files, const std::string& parent, const std::string& path) {
  if (auto done = files.create_directory(path); !done) return done;
  return files.sync_directory(parent);
}

std::string parent_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// A data directory that cannot be made: mostly a mistaken path, not a failed disk.
Error unusable(const std::string& path, const IoError& error) {
  const std::string named = "the data directory " + path;
  switch (error.number) {
    case ENOENT:
      return {ErrorCode::kBadArgument,
              named + " cannot be made: create its parent " + parent_of(path) + " first"};
    case ENOTDIR:
      return {ErrorCode::kBadArgument, named + " is no directory, or its parent is none"};
    case EACCES:
    case EPERM:
    case EROFS:
      return {ErrorCode::kBadArgument, named + " cannot be used: " + error.to_error().message};
    default:
      return error.to_error();
  }
}

// Who has no cluster may be left of a first start that failed behind it, of a program that made the
// directory before it listened.
Error of_another_node(const std::string& path, const StoreIdentity& identity, NodeId node) {
  std::string said = path + "/" + kIdentityName + ": the data directory belongs to node " +
                     std::to_string(identity.node.value) + ", this is node " +
                     std::to_string(node.value) + ": check --data_dir and --node_id";
  if (!identity.cluster) {
    said += "; if it is left of a first start that failed, and was in no cluster, remove it";
  }
  return {ErrorCode::kBadArgument, std::move(said)};
}

std::string group_directory_path(const std::string& data_directory, GroupId group) {
  return data_directory + "/" + std::string(kGroupPrefix) + std::to_string(group.value);
}

}  // namespace

std::optional<GroupId> group_named(std::string_view name) {
  if (!name.starts_with(kGroupPrefix)) return std::nullopt;
  name.remove_prefix(kGroupPrefix.size());
  uint64_t number = 0;
  const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (failure != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return GroupId(number);
}

std::string encode_identity(const StoreIdentity& identity) {
  std::string text(kFirstLine);
  text += "node " + std::to_string(identity.node.value) + "\n";
  text += "store " + std::to_string(identity.store.value) + "\n";
  return text + checksum_line(text);
}

Result<StoreIdentity> decode_identity(const std::string& text, const std::string& path) {
  std::string_view rest = text;
  if (!rest.starts_with(kFirstLine)) return corrupt(path, "the identity file has no valid start");
  rest.remove_prefix(kFirstLine.size());
  const NodeId node(take_number(rest, "node "));
  const StoreId store(take_number(rest, "store "));
  if (!node || !store) return corrupt(path, "the identity file names no node or no store");
  const std::string_view summed = std::string_view{text}.substr(0, text.size() - rest.size());
  if (rest != checksum_line(summed)) {
    return corrupt(path, "the identity file's checksum does not match: it says node " +
                             std::to_string(node.value) + ", store " + std::to_string(store.value));
  }
  return StoreIdentity{node, store};
}

std::string encode_cluster(ClusterId cluster) {
  std::string text(kClusterFirstLine);
  text += "cluster " + std::to_string(cluster.value) + "\n";
  return text + checksum_line(text);
}

Result<ClusterId> decode_cluster(const std::string& text, const std::string& path) {
  std::string_view rest = text;
  if (!rest.starts_with(kClusterFirstLine)) {
    return cluster_corrupt(path, "the cluster file has no valid start");
  }
  rest.remove_prefix(kClusterFirstLine.size());
  const ClusterId cluster(take_number(rest, "cluster "));
  if (!cluster) return cluster_corrupt(path, "the cluster file names no cluster");
  const std::string_view summed = std::string_view{text}.substr(0, text.size() - rest.size());
  if (rest == checksum_line(summed)) return cluster;
  return cluster_corrupt(path, "the cluster file's checksum does not match: it says cluster " +
                                   std::to_string(cluster.value));
}

Result<StoreIdentity> read_identity(FileSystem& files, const std::string& directory) {
  const std::string path = directory + "/" + kIdentityName;
  auto text = read_file(files, path, kIdentityBytesMax);
  if (!text) {
    if (text.error().number == EFBIG) return corrupt(path, text.error().detail);
    return text.error().to_error();
  }
  auto identity = decode_identity(*text, path);
  if (!identity) return identity;
  const auto cluster = read_cluster(files, directory);
  if (!cluster) return cluster.error();
  identity->cluster = *cluster;
  return identity;
}

Error log_lost(const std::string& directory, const StoreIdentity& identity,
               const std::string& missing) {
  const std::string node = std::to_string(identity.node.value);
  std::string said = directory + ": this server belonged to a cluster";
  if (identity.cluster) said += " (" + std::to_string(identity.cluster.value) + ")";
  said += ", but " + missing +
          ": its log was lost, and with it this server's votes and what it had acknowledged. If a "
          "file system is not mounted, mount it. Else empty the whole directory, start the server "
          "under an id that was never used, with --join, and run `holdfast member replace " +
          node + " NEW_ID ADDRESS`";
  return {ErrorCode::kCorrupt, std::move(said)};
}

// A path that was mistyped, or a disk of something else: a server that began there would be a new
// one, among files that others may clear away. What `ls` does not show may be the file system's
// own.
Status DataDirectory::check_ours(FileSystem& files, const std::string& path) {
  auto names = files.list(path);
  if (!names) return ok_status();  // it is made, or that says what is wrong with it
  std::string foreign;
  for (const std::string& name : *names) {
    // A server's, or the rest of one: establish_identity() judges that.
    if (name == kIdentityName || name == kClusterName || group_named(name)) {
      return ok_status();
    }
    const bool known = name == kLockName || name == kLostAndFound || name.starts_with('.') ||
                       name.starts_with(kOfTheServer) || name == kNewIdentityName ||
                       name == kNewClusterName;
    if (!known && foreign.empty()) foreign = name;
  }
  if (foreign.empty()) return ok_status();
  return Error{ErrorCode::kBadArgument,
               "the data directory " + path + " is no server's, and not empty: " + foreign +
                   " is there; a server begins in an empty one. Nothing was changed"};
}

Result<StoreIdentity> DataDirectory::establish_identity(FileSystem& files, Entropy& entropy,
                                                        const std::string& path, NodeId node) {
  auto found = files.exists(path + "/" + kIdentityName);
  if (!found) return found.error().to_error();
  if (*found) return read_identity(files, path);
  // What a store is given, without an identity: it was lost, not never made.
  auto names = files.list(path);
  if (!names) return names.error().to_error();
  for (const std::string& name : *names) {
    if (group_named(name) || name == kClusterName) {
      return corrupt(path + "/" + kIdentityName,
                     "the identity file is missing, but " + name +
                         " is there, as after a restore or a recovery that was cut short: then "
                         "remove the directory and begin again");
    }
  }
  const StoreIdentity minted{node, StoreId(entropy.next_id())};
  const IoStatus written = replace_file(files, path, kIdentityName, encode_identity(minted));
  if (!written) return written.error().to_error();
  return minted;
}

/// Makes the directory, if it is not there, and keeps others out of it.
Result<std::unique_ptr<FileLock>> DataDirectory::enter(FileSystem& files, const std::string& path) {
  if (auto made = make_directory(files, parent_of(path), path); !made) {
    return unusable(path, made.error());
  }
  auto lock = files.lock(path + "/" + kLockName);
  if (lock) return std::move(*lock);
  if (lock.error().number != EWOULDBLOCK) return unusable(path, lock.error());
  return Error{ErrorCode::kBadArgument,
               "the data directory " + path + " is in use: " + lock.error().detail};
}

Status DataDirectory::check_empty(FileSystem& files, const std::string& path) {
  auto there = files.exists(path);
  if (there && !*there) return ok_status();
  auto names = files.list(path);
  if (!names) return unusable(path, names.error());
  for (const std::string& name : *names) {
    if (name == kLockName || name == kLostAndFound) continue;
    std::string why = "the data directory " + path + " must be empty, but ";
    why += name + " is there; nothing was changed";
    return Error{ErrorCode::kBadArgument, std::move(why)};
  }
  return ok_status();
}

Status DataDirectory::check_beginning(FileSystem& files, const std::string& path) {
  auto parent = files.exists(parent_of(path));
  if (!parent) return unusable(path, parent.error());
  if (!*parent) return unusable(path, {ENOENT, "stat", parent_of(path), ""});
  return check_empty(files, path);
}

Result<std::unique_ptr<DataDirectory>> DataDirectory::begin(FileSystem& files, Entropy& entropy,
                                                            const std::string& path, NodeId node) {
  if (const Status empty = check_empty(files, path); !empty.ok()) return empty.error();
  auto lock = enter(files, path);
  if (!lock.ok()) return lock.error();
  // Others may have been there before the lock was taken.
  if (const Status empty = check_empty(files, path); !empty.ok()) return empty.error();
  return std::unique_ptr<DataDirectory>(
      new DataDirectory(files, path, std::move(*lock), {node, StoreId(entropy.next_id())}));
}

Status DataDirectory::establish() {
  const IoStatus written = replace_file(files_, path_, kIdentityName, encode_identity(identity_));
  if (!written) return written.error().to_error();
  return ok_status();
}

Result<std::unique_ptr<DataDirectory>> DataDirectory::open(FileSystem& files, Entropy& entropy,
                                                           const std::string& path, NodeId node) {
  if (const Status ours = check_ours(files, path); !ours.ok()) return ours.error();
  auto lock = enter(files, path);
  if (!lock.ok()) return lock.error();
  auto identity = establish_identity(files, entropy, path, node);
  if (!identity) return identity.error();
  if (identity->node != node) return of_another_node(path, *identity, node);
  std::unique_ptr<DataDirectory> directory(
      new DataDirectory(files, path, std::move(*lock), *identity));
  if (const Status whole = directory->check_not_lost(); !whole.ok()) return whole.error();
  return directory;
}

// The group's directory itself may be there: it is what a file system is mounted on. One that holds
// directories but no log is known when that was opened (find_genesis()).
Status DataDirectory::check_not_lost() const {
  if (!identity_.cluster) return ok_status();
  auto names = files_.list(path_);
  if (!names) return names.error().to_error();
  for (const std::string& name : *names) {
    if (!group_named(name)) continue;
    auto held = files_.list(path_ + "/" + name);
    if (!held) return held.error().to_error();
    std::erase(*held, kLostAndFound);
    if (!held->empty()) return ok_status();
  }
  return log_lost(path_, identity_,
                  group_directory_path(path_, kDefaultGroup) + " is missing or empty");
}

DataDirectory::DataDirectory(FileSystem& files, std::string path, std::unique_ptr<FileLock> lock,
                             StoreIdentity identity)
    : files_(files), path_(std::move(path)), lock_(std::move(lock)), identity_(identity) {}

Result<std::string> DataDirectory::log_directory(GroupId group) {
  return directory_of_group(group, log_directory_path(path_, group));
}

Result<std::string> DataDirectory::snapshot_directory(GroupId group) {
  return directory_of_group(group, snapshot_directory_path(path_, group));
}

Status DataDirectory::check_cluster(ClusterId cluster) const {
  if (!identity_.cluster || identity_.cluster == cluster) return ok_status();
  return Error{ErrorCode::kBadArgument, path_ + ": the data directory belongs to cluster " +
                                            std::to_string(identity_.cluster.value) +
                                            ", entry 1 of its log is of cluster " +
                                            std::to_string(cluster.value)};
}

// In this order, behind the log: a crash between any two leaves a store that has entry 1, and whose
// next start keeps the rest.
Status DataDirectory::keep_genesis(GroupId group, ClusterId cluster, const std::string& genesis) {
  if (Status fits = check_cluster(cluster); !fits.ok()) return fits;
  if (Status kept = keep_bytes(group, genesis); !kept.ok()) return kept;
  if (identity_.cluster) return ok_status();
  const IoStatus written = replace_file(files_, path_, kClusterName, encode_cluster(cluster));
  if (!written) return written.error().to_error();
  identity_.cluster = cluster;
  return ok_status();
}

Status DataDirectory::keep_bytes(GroupId group, const std::string& genesis) {
  const auto kept = kept_genesis(group);
  if (!kept.ok()) return kept.error();
  if (*kept) return ok_status();
  std::string content = genesis;
  append_le(content, checksum64(genesis));
  const auto written =
      replace_file(files_, group_directory_path(path_, group), kGenesisName, content);
  if (!written) return written.error().to_error();
  return ok_status();
}

Result<std::optional<std::string>> DataDirectory::kept_genesis(GroupId group) const {
  const std::string path = group_directory_path(path_, group) + "/" + kGenesisName;
  auto there = files_.exists(path);
  if (!there) return there.error().to_error();
  if (!*there) return std::optional<std::string>();
  auto content = read_file(files_, path, kGenesisBytesMax);
  if (!content) return content.error().to_error();
  const size_t size = content->size();
  if (size > sizeof(uint64_t)) {
    const size_t end = size - sizeof(uint64_t);
    const auto sum = load_le<uint64_t>(content->data() + end);
    content->resize(end);
    if (sum == checksum64(*content)) return std::optional<std::string>(std::move(*content));
  }
  return Error{ErrorCode::kCorrupt, path + ": its checksum does not match its content"};
}

Result<std::string> DataDirectory::directory_of_group(GroupId group, const std::string& path) {
  const std::string parent = group_directory_path(path_, group);
  if (auto done = make_directory(files_, path_, parent); !done) return done.error().to_error();
  if (auto done = make_directory(files_, parent, path); !done) return done.error().to_error();
  return path;
}

std::string log_directory_path(const std::string& data_directory, GroupId group) {
  return group_directory_path(data_directory, group) + "/log";
}

std::string snapshot_directory_path(const std::string& data_directory, GroupId group) {
  return group_directory_path(data_directory, group) + "/snapshot";
}

}  // namespace holdfast::raft
