#include "coordinator/founding/founding.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"
#include "coordinator/loading/loaded_state.h"
#include "coordinator/rsm/command_codec.h"
#include "coordinator/snapshot/copy.h"
#include "coordinator/snapshot/store.h"
#include "raft/storage/data_directory.h"
#include "raft/storage/log_store.h"
#include "raft/transport/genesis.h"
#include "session/session_table.h"

namespace holdfast::founding {
namespace {

using raft::DataDirectory;
using snapshot::SnapshotStore;

constexpr auto kNoProgress = [](uint64_t) {};

/// One founding: the steps in their order.
class Founding {
 public:
  Founding(const Ports& ports, State state, const Founder& founder)
      : ports_(ports), state_(std::move(state)), founder_(founder) {
    founded_.cluster = ClusterId(ports.entropy.next_id());
  }
  Result<Founded> run(const std::string& path);

 private:
  Status check() const;
  Status fill();
  void count_sessions();
  Status raise_index();
  Status copy_database();
  Status write_state();
  Status read_back();
  Status begin_log();
  Result<std::unique_ptr<SnapshotStore>> open_store();
  snapshot::SnapshotHead head() const;
  raft::Genesis genesis() const;
  Blob first_entry() const;

  const Ports& ports_;
  State state_;
  const Founder& founder_;
  Founded founded_;
  std::unique_ptr<DataDirectory> directory_;
};

Result<Founded> Founding::run(const std::string& path) {
  if (Status fits = check(); !fits.ok()) return fits.error();
  auto directory = DataDirectory::begin(ports_.files, ports_.entropy, path, founder_.node);
  if (!directory.ok()) return directory.error();
  directory_ = std::move(*directory);
  count_sessions();
  if (Status filled = fill(); !filled.ok()) {
    return Error{filled.error().code, filled.error().message + "; no server starts from " + path +
                                          ", which is not whole: remove it"};
  }
  return founded_;
}

Status Founding::fill() {
  for (const auto step : {&Founding::copy_database, &Founding::raise_index, &Founding::write_state,
                          &Founding::read_back, &Founding::begin_log}) {
    if (Status done = (this->*step)(); !done.ok()) return done;
  }
  const Status kept =
      directory_->keep_genesis(kDefaultGroup, founded_.cluster, raft::encode_genesis(genesis()));
  return kept.ok() ? directory_->establish() : kept;
}

// What would make a server refuse the directory later is refused now.
Status Founding::check() const {
  const uint64_t index = state_.machine->applied().value;
  if (index > kIndexMax - kIndexRaise) {
    return Error{ErrorCode::kBadArgument, "the state stands at revision " + std::to_string(index) +
                                              ", and a new cluster cannot begin above " +
                                              std::to_string(kIndexMax - kIndexRaise)};
  }
  const auto whole = raft::decode_genesis(raft::encode_genesis(genesis()));
  if (whole.ok()) return ok_status();
  return Error{ErrorCode::kBadArgument, "node " + std::to_string(founder_.node.value) +
                                            " with peers at \"" + founder_.peer_address +
                                            "\" and clients at \"" + founder_.client_address +
                                            "\" cannot be a member: " + whole.error().message};
}

void Founding::count_sessions() {
  std::vector<const session::Session*> all;
  state_.machine->sessions().list(SessionId{}, state_.machine->sessions().size(), all);
  founded_.sessions = all.size();
  founded_.hold_ms = std::max(founder_.hold_ms, state_.ttl_max_ms);
  for (const session::Session* session : all) {
    founded_.hold_ms = std::max(founded_.hold_ms, session->ttl_ms);
  }
}

Result<std::unique_ptr<SnapshotStore>> Founding::open_store() {
  const auto directory = directory_->snapshot_directory(kDefaultGroup);
  if (!directory.ok()) return directory.error();
  return SnapshotStore::open(ports_.files, *directory, ports_.vfs);
}

Status Founding::copy_database() {
  if (state_.database.empty()) return ok_status();
  auto store = open_store();
  if (!store.ok()) return store.error();
  const std::string to = (*store)->incoming_path();
  const auto copy = snapshot::make_copy(ports_.files, state_.database, to, ports_.vfs, state_.mode);
  if (!copy.ok()) return copy.error();
  auto file = ports_.files.open(to, raft::OpenMode::kModify);
  if (!file) return file.error().to_error();
  if (auto synced = (*file)->sync(); !synced) return synced.error().to_error();
  return (*store)->adopt_incoming();
}

/// The entry before the first is none that was ever written; the state after it is the old one.
Status Founding::raise_index() {
  founded_.first = LogIndex(state_.machine->applied().value + kIndexRaise + 1);
  const auto skipped = state_.machine->skip(founded_.first.prev(), genesis().configuration.level);
  HF_CHECK(skipped == rsm::ApplyStatus::kApplied, "founds at its own level");
  state_.rows.add(state_.machine->row_changes());
  return ok_status();
}

Status Founding::write_state() {
  auto store = open_store();
  if (!store.ok()) return store.error();
  const auto written = (*store)->write({std::move(state_.rows), head()});
  if (!written.ok()) return written.error();
  if (written->durable) return ok_status();
  return Error{ErrorCode::kOverloaded, (*store)->path() + ": another process reads it"};
}

/// As a start does: what the disk made of it is known before anybody relies on it.
Status Founding::read_back() {
  auto store = open_store();
  if (!store.ok()) return store.error();
  rsm::StateMachine machine({.hash_seed = ports_.entropy.next_u64()});
  const auto read = (*store)->load(loading::sink_of(machine), kNoProgress);
  if (!read.ok()) return read.error();
  return loading::check_whole((*store)->path(), head(), machine);
}

/// In a term of its own, in which nobody voted: a leader's begins above it.
Status Founding::begin_log() {
  const auto directory = directory_->log_directory(kDefaultGroup);
  if (!directory.ok()) return directory.error();
  raft::LogOptions options;
  options.directory = *directory;
  options.store = directory_->store();
  options.snapshot = {.last = {founded_.first.prev(), state_.last_term}};
  options.begins_here = true;
  options.segment_bytes = ports_.segment_bytes;
  auto log = raft::LogStore::open(ports_.files, ports_.entropy, options);
  if (!log.ok()) return log.error();
  const Term term = Term(std::max(state_.term, state_.last_term).value + 1);
  raft::Write write;
  write.number = 1;
  write.hard_state = raft::HardState{term, NodeId{}};
  write.entries.push_back({term, founded_.first, raft::EntryType::kCommand, first_entry()});
  const auto appended = (*log)->append(std::span(&write, 1));
  return appended.ok() ? ok_status() : Status(appended.error());
}

Blob Founding::first_entry() const {
  command::CommandHeader header;
  header.kind = command::CommandKind::RESTORE;
  header.level = rsm::level_of(header.kind);
  header.clusterTimeMs = state_.machine->cluster_time_ms();
  header.wallUnixMs = ports_.now_unix_ms;
  command::Restore body;
  body.holdMs = std::max(founder_.hold_ms, state_.ttl_max_ms);
  return rsm::CommandEncoder().entry_of(header, body);
}

snapshot::SnapshotHead Founding::head() const {
  return {.cluster = founded_.cluster,
          .node = founder_.node,
          .applied = state_.machine->applied(),
          .applied_term = state_.last_term,
          .digest = state_.machine->digest(),
          .written_unix_ms = ports_.now_unix_ms,
          .genesis = raft::encode_genesis(genesis())};
}

raft::Genesis Founding::genesis() const {
  raft::Member self;
  self.id = founder_.node;
  // Before there is a directory any store will do to see whether the rest is in order.
  self.store = directory_ == nullptr ? StoreId(1) : directory_->store();
  self.peer_address = founder_.peer_address;
  self.client_address = founder_.client_address;
  self.feature_level = rsm::kFeatureLevel;
  raft::Genesis genesis;
  genesis.cluster = founded_.cluster;
  genesis.configuration.voters.push_back(self.id);
  genesis.configuration.members.push_back(std::move(self));
  genesis.configuration.level = raft::first_level(genesis.configuration.members);
  return genesis;
}

}  // namespace

Result<Founded> found_cluster(const Ports& ports, State state, const Founder& founder,
                              const std::string& directory) {
  return Founding(ports, std::move(state), founder).run(directory);
}

}  // namespace holdfast::founding
