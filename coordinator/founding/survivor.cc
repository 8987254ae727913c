#include "coordinator/founding/survivor.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "coordinator/loading/loaded_state.h"
#include "coordinator/loading/quarantine_file.h"
#include "coordinator/rsm/effects.h"
#include "coordinator/snapshot/loader.h"
#include "coordinator/snapshot/store.h"
#include "raft/core/configuration.h"
#include "raft/core/configuration_log.h"
#include "raft/storage/log_store.h"
#include "raft/transport/genesis.h"
#include "session/session_table.h"

namespace holdfast::founding {
namespace {

using raft::DataDirectory;
using snapshot::SnapshotStore;

/// Of the log, at a time.
constexpr size_t kReadBytes = 4 << 20;

/// The log of a server that was added begins with it; all else comes from the others.
constexpr LogIndex kFirstEntry(1);

/// One opening: what a start does, as far as the state is concerned, but that nothing is changed.
class Opening {
 public:
  Opening(const Ports& ports, std::string path) : ports_(ports), path_(std::move(path)) {}
  Result<Survivor> run(NodeId node);

 private:
  Status enter(NodeId node);
  Status refuse_quarantined() const;
  Status find_snapshot();
  Status find_kept_genesis();
  Status open_log();
  Status find_genesis();
  Error without_a_log(const std::string& missing) const;
  Status take_genesis(std::string_view bytes);
  Status find_members();
  Status load_snapshot();
  Status replay();
  Status apply(const raft::Entry& entry);
  void note_ttl(int64_t ttl_ms) {
    found_.state.ttl_max_ms = std::max(found_.state.ttl_max_ms, ttl_ms);
  }

  const Ports& ports_;
  const std::string path_;
  Survivor found_;
  std::unique_ptr<SnapshotStore> snapshots_;
  std::optional<snapshot::SnapshotHead> head_;
  std::unique_ptr<raft::LogStore> log_;
  raft::Configuration configuration_;
  rsm::Effects effects_;
};

Result<Survivor> Opening::run(NodeId node) {
  if (Status entered = enter(node); !entered.ok()) return entered.error();
  for (const auto step : {&Opening::find_snapshot, &Opening::find_kept_genesis, &Opening::open_log,
                          &Opening::find_genesis, &Opening::find_members, &Opening::load_snapshot,
                          &Opening::replay}) {
    if (Status done = (this->*step)(); !done.ok()) return done.error();
  }
  return std::move(found_);
}

// Read first: opening a directory that is none of a server would make one of it.
Status Opening::enter(NodeId node) {
  auto there = ports_.files.exists(path_ + "/identity");
  if (there && !*there) {
    return Error{ErrorCode::kBadArgument, path_ + " is no data directory of a server"};
  }
  auto directory = DataDirectory::open(ports_.files, ports_.entropy, path_, node);
  if (!directory.ok()) return directory.error();
  found_.directory = std::move(*directory);
  return refuse_quarantined();
}

// PROMISE 11: what a majority found wrong is not made the only state there is.
Status Opening::refuse_quarantined() const {
  const loading::QuarantineFile file(ports_.files, path_, kDefaultGroup);
  const auto why = file.read();
  if (!why.ok()) return why.error();
  if (!*why) return ok_status();
  return Error{ErrorCode::kCorrupt,
               path_ + ": the state of this server is quarantined: " + **why +
                   "; take another server, or a backup. If neither is left, remove " + file.path() +
                   " and judge the new cluster's state yourself"};
}

Status Opening::find_snapshot() {
  auto snapshots = SnapshotStore::open_to_read(
      ports_.files, raft::snapshot_directory_path(path_, kDefaultGroup), ports_.vfs);
  if (!snapshots.ok()) return snapshots.error();
  snapshots_ = std::move(*snapshots);
  if (snapshots_->empty()) return ok_status();
  auto head = snapshots_->head();
  if (!head.ok()) return head.error();
  head_ = std::move(*head);
  found_.snapshot = head_->applied;
  return ok_status();
}

// Before the log is opened: behind a snapshot that seems received it might be discarded.
Status Opening::find_kept_genesis() {
  const auto kept = found_.directory->kept_genesis(kDefaultGroup);
  if (!kept.ok()) return kept.error();
  return *kept ? take_genesis(**kept) : ok_status();
}

Status Opening::take_genesis(std::string_view bytes) {
  auto genesis = raft::decode_genesis(bytes);
  if (!genesis.ok()) return genesis.error();
  Status fits = found_.directory->check_cluster(genesis->cluster);
  if (!fits.ok()) return fits;
  found_.cluster = genesis->cluster;
  configuration_ = std::move(genesis->configuration);
  if (!head_ || head_->cluster == genesis->cluster) return ok_status();
  return Error{ErrorCode::kBadArgument,
               snapshots_->path() + " is of cluster " + std::to_string(head_->cluster.value) +
                   ", the log beside it of cluster " + std::to_string(genesis->cluster.value)};
}

Status Opening::open_log() {
  raft::LogOptions options;
  options.directory = raft::log_directory_path(path_, kDefaultGroup);
  auto there = ports_.files.exists(options.directory);
  if (!there) return there.error().to_error();
  if (!*there) return without_a_log(options.directory + " is missing");
  options.store = found_.directory->store();
  options.read_only = true;
  if (head_) {
    options.snapshot = {.last = {head_->applied, head_->applied_term},
                        .received = found_.cluster && head_->node != found_.directory->node()};
  }
  auto log = raft::LogStore::open(ports_.files, ports_.entropy, options);
  if (!log.ok()) return log.error();
  log_ = std::move(*log);
  found_.last = log_->last_index();
  return log_->recovered().check_terms();
}

// What is kept beside a log that was lost would make a cluster without any state.
Error Opening::without_a_log(const std::string& missing) const {
  const raft::StoreIdentity& identity = found_.directory->identity();
  if (found_.cluster || identity.cluster || head_) {
    return raft::log_lost(path_, identity, missing);
  }
  return {ErrorCode::kBadArgument, path_ + ": this server was in no cluster"};
}

Status Opening::find_genesis() {
  if (found_.last == LogIndex()) return without_a_log("its log is empty");
  if (!found_.cluster) {
    const auto& first = log_->recovered().genesis;
    if (!first) return without_a_log("the first entry of its log is gone");
    if (Status taken = take_genesis(first->data.view()); !taken.ok()) return taken;
  }
  if (head_ || found_.last > kFirstEntry) return ok_status();
  return Error{ErrorCode::kBadArgument,
               path_ +
                   ": this server has nothing of the cluster's state but its first entry, so "
                   "the new cluster would be empty; take another server, or a backup"};
}

/// By the newest configuration, committed or not, as a server goes by it (dissertation 4.1).
Status Opening::find_members() {
  raft::PlacedConfiguration newest{LogIndex(), std::move(configuration_)};
  const auto take = [&newest, this](LogIndex index, std::string_view bytes) -> Status {
    if (index <= newest.index) return ok_status();
    auto configuration = raft::decode_configuration(bytes);
    if (!configuration.ok()) {
      return Error{ErrorCode::kCorrupt, path_ + ": the members of entry " +
                                            std::to_string(index.value) + ": " +
                                            configuration.error().message};
    }
    newest = {index, std::move(*configuration)};
    return ok_status();
  };
  if (head_) {
    Status taken = take(head_->membership.index, head_->membership.configuration);
    if (!taken.ok()) return taken;
  }
  for (const raft::Entry& entry : log_->recovered().configurations) {
    if (Status taken = take(entry.index, entry.data.view()); !taken.ok()) return taken;
  }
  const NodeId node = found_.directory->node();
  if (const auto* self = raft::find_member(newest.configuration, node)) found_.self = *self;
  if (const auto* gone = raft::find_removed(newest.configuration, node)) found_.removed = *gone;
  return ok_status();
}

Status Opening::load_snapshot() {
  State& state = found_.state;
  state.machine = std::make_unique<rsm::StateMachine>(
      rsm::StateMachine::Options{.hash_seed = ports_.entropy.next_u64()});
  if (!head_) return ok_status();
  const auto head = snapshots_->read(loading::sink_of(*state.machine));
  if (!head.ok()) return head.error();
  state.database = snapshots_->path();
  const auto mode = snapshot::mode_at_rest(ports_.files, state.database);
  if (!mode.ok()) return mode.error();
  state.mode = *mode;
  if (Status whole = loading::check_whole(state.database, *head, *state.machine); !whole.ok()) {
    return whole;
  }
  std::vector<const session::Session*> all;
  state.machine->sessions().list(SessionId{}, state.machine->sessions().size(), all);
  for (const session::Session* session : all) note_ttl(session->ttl_ms);
  if (log_->term(head->applied) == head->applied_term) return ok_status();
  return Error{ErrorCode::kCorrupt, state.database + ": the log beside it does not hold entry " +
                                        std::to_string(head->applied.value) +
                                        ", after which it is the state"};
}

Status Opening::replay() {
  State& state = found_.state;
  state.term = log_->recovered().hard_state.term;
  state.last_term = log_->term(found_.last).value_or(Term());
  std::vector<raft::Entry> entries;
  for (LogIndex next = state.machine->applied().next(); next <= found_.last;) {
    entries.clear();
    const LogIndex end = found_.last.next();
    if (Status read = log_->read(next, end, kReadBytes, entries); !read.ok()) return read;
    for (const raft::Entry& entry : entries) {
      if (Status applied = apply(entry); !applied.ok()) return applied;
    }
    next = state.machine->applied().next();
  }
  return ok_status();
}

Status Opening::apply(const raft::Entry& entry) {
  rsm::StateMachine& machine = *found_.state.machine;
  effects_.clear();
  const auto done = entry.type == raft::EntryType::kCommand
                        ? machine.apply(entry.index, entry.term, entry.data.view(), effects_)
                        : machine.skip(entry.index, raft::recorded_level(entry));
  if (done == rsm::ApplyStatus::kNeedsUpgrade) {
    return Error{ErrorCode::kUnsupported, path_ + ": entry " + std::to_string(entry.index.value) +
                                              " is of a feature level that this program, which " +
                                              "knows level " + std::to_string(rsm::kFeatureLevel) +
                                              ", does not know"};
  }
  for (const rsm::Effect& effect : effects_) {
    if (effect.kind == rsm::EffectKind::kSessionOpened) note_ttl(effect.ttl_ms);
  }
  found_.state.rows.add(machine.row_changes());
  return ok_status();
}

}  // namespace

Result<Survivor> open_survivor(const Ports& ports, const std::string& directory, NodeId node) {
  return Opening(ports, directory).run(node);
}

}  // namespace holdfast::founding
