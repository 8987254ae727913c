// Rows of the state machine's own, loading, invariants. Little-endian:
//   kMeta      id 1: applied revision, cluster time (8 bytes each), feature level (4 bytes): that
//              in force, the highest recorded or of any command, which a program must know
//   kSettings  id = SettingId; value (8 bytes). Only settings that were ever changed have a row;
//   the
//              others have the initial value of the feature level
#include "base/bytes.h"
#include "coordinator/rsm/core.h"

namespace holdfast::rsm {
namespace {

constexpr uint64_t kMetaRow = 1;

Error corrupt(const char* what, uint64_t id) {
  return {ErrorCode::kCorrupt, std::string(what) + " row " + std::to_string(id)};
}

}  // namespace

void StateMachine::Core::replace_hash(Digest& hash, const Digest& fresh) {
  own_digest_.subtract(hash);
  own_digest_.add(fresh);
  hash = fresh;
}

void StateMachine::Core::write_meta() {
  rows_.begin(RowTable::kMeta, kMetaRow);
  rows_.put64(applied_.value);
  rows_.put_signed(cluster_time_ms_);
  rows_.put32(static_cast<uint32_t>(level_));
  replace_hash(meta_hash_, rows_.finish());
}

void StateMachine::Core::write_settings(const std::map<std::string, int64_t>& changes) {
  for (const SettingInfo& info : setting_infos()) {
    if (changes.contains(info.name)) write_setting(info.id);
  }
}

void StateMachine::Core::write_setting(SettingId setting) {
  const auto id = static_cast<uint64_t>(setting);
  rows_.begin(RowTable::kSettings, id);
  rows_.put_signed(settings_.get(setting));
  replace_hash(setting_hashes_[id - 1], rows_.finish());
}

Digest StateMachine::Core::digest() const {
  Digest sum = own_digest_;
  sum.add(sessions_.digest());
  sum.add(locks_.digest());
  sum.add(keys_.digest());
  return sum;
}

Status StateMachine::Core::load(RowTable table, uint64_t id, std::string_view row) {
  switch (table) {
    case RowTable::kMeta:
      return load_meta(id, row);
    case RowTable::kSettings:
      return load_setting(id, row);
    case RowTable::kSessions:
    case RowTable::kResults:
    case RowTable::kWindows:
      return sessions_.load(table, id, row);
    case RowTable::kKeys:
    case RowTable::kKeyChildren:
      return keys_.load(table, id, row);
    default:
      return locks_.load(table, id, row);
  }
}

Status StateMachine::Core::load_meta(uint64_t id, std::string_view row) {
  ByteReader reader(row);
  applied_ = LogIndex(reader.read<uint64_t>());
  cluster_time_ms_ = static_cast<int64_t>(reader.read<uint64_t>());
  const auto level = static_cast<int32_t>(reader.read<uint32_t>());
  const bool whole = reader.ok() && reader.remaining() == 0;
  if (id != kMetaRow || !whole || level < 1) return corrupt("meta", id);
  if (level > known_level_) {
    return Error{ErrorCode::kUnsupported, "the state is of feature level " + std::to_string(level) +
                                              ", this program knows level " +
                                              std::to_string(known_level_) +
                                              ": upgrade this server"};
  }
  level_ = level;
  replace_hash(meta_hash_, row_hash(RowTable::kMeta, id, row));
  return ok_status();
}

Status StateMachine::Core::load_setting(uint64_t id, std::string_view row) {
  ByteReader reader(row);
  const auto value = static_cast<int64_t>(reader.read<uint64_t>());
  if (!reader.ok() || reader.remaining() != 0 || !settings_.load(id, value)) {
    return corrupt("setting", id);
  }
  replace_hash(setting_hashes_[id - 1], row_hash(RowTable::kSettings, id, row));
  return ok_status();
}

Status StateMachine::Core::finish_load() {
  Status sessions = sessions_.finish_load();
  if (!sessions.ok()) return sessions;
  Status locks = locks_.finish_load();
  if (!locks.ok()) return locks;
  Status keys = keys_.finish_load();
  if (!keys.ok()) return keys;
  const std::string problem = check_links();
  if (!problem.empty()) return Error{ErrorCode::kCorrupt, problem};
  return ok_status();
}

/// What only the composition can know: owners are live (I12, I15), and the window and the queue
/// agree on who waits.
std::string StateMachine::Core::check_links() const {
  for (const SessionId owner : locks_.sessions()) {
    if (sessions_.find(owner) == nullptr) {
      return "locks belong to session " + std::to_string(owner.value) + ", which has ended";
    }
  }
  for (const SessionId owner : keys_.sessions()) {
    if (sessions_.find(owner) == nullptr) {
      return "ephemeral keys belong to session " + std::to_string(owner.value) +
             ", which has ended";
    }
  }
  uint64_t waiting = 0;
  std::vector<const session::Session*> all;
  sessions_.list(SessionId{}, sessions_.size(), all);
  for (const session::Session* session : all) {
    for (const auto& [sequence, kept] : session->window.kept()) {
      const std::optional<lockmgr::AcquireState> state = locks_.find(session->id, sequence);
      const bool queued = state && !state->granted;
      if (kept.waiting != queued) {
        return "session " + std::to_string(session->id.value) + ", sequence " +
               std::to_string(sequence.value) + ": window and queue disagree on whether it waits";
      }
      waiting += kept.waiting ? state->locks : 0;
    }
  }
  if (waiting != locks_.waiter_count()) return "a waiter is not known to its session's window";
  return "";
}

std::string StateMachine::Core::check_invariants() const {
  std::string problem = sessions_.check_invariants();
  if (problem.empty()) problem = locks_.check_invariants();
  if (problem.empty()) problem = keys_.check_invariants();
  if (problem.empty()) problem = check_links();
  if (!problem.empty()) return problem;
  Digest own = meta_hash_;
  for (const Digest& hash : setting_hashes_) own.add(hash);
  return own == own_digest_ ? "" : "the digest of the machine's own rows is not their sum";
}

}  // namespace holdfast::rsm
