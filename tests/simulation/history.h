// The committed history: every entry, once, in order, as soon as any node knows that it is
// committed, applied to a state machine of its own. Judges each entry (I11 to I14, I16, I17, I18)
// and every node's state against the one that follows from the log (I5).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "coordinator/rsm/command_codec.h"
#include "coordinator/rsm/state_machine.h"
#include "gen/cpp/command_types.h"
#include "gen/cpp/holdfast_types.h"
#include "gen/cpp/keys_types.h"
#include "raft/core/types.h"
#include "tests/simulation/key_history.h"
#include "tests/simulation/lock_history.h"
#include "tests/simulation/sessionless_writes.h"
#include "tests/simulation/world.h"

namespace holdfast::sim {

/// What clients must learn of at once, in true time.
class HistoryListener {
 public:
  /// `forced`: an operator took it without notice, so only tokens protect.
  virtual void tenure_ended(const rsm::Effect& effect, bool forced) = 0;
  virtual void session_ended(const rsm::Effect& effect, bool forced) = 0;
  /// The client of this session is gone.
  virtual bool is_dead(SessionId session) const = 0;

 protected:
  ~HistoryListener() = default;
};

class History {
 public:
  History(World& world, HistoryListener& listener);

  /// The next entry is committed.
  void commit(const raft::Entry& entry);
  LogIndex last() const { return machine_.applied(); }
  const rsm::StateMachine& machine() const { return machine_; }
  const LockHistory& locks() const { return locks_; }
  const KeyHistory& keys() const { return keys_; }
  SessionlessWrites& sessionless() { return sessionless_; }
  const SessionlessWrites& sessionless() const { return sessionless_; }

  /// A session that expired.
  struct Expiry {
    SessionId session;
    Term term;  ///< of the entry, in which it was decided
  };
  const std::vector<Expiry>& expiries() const { return expiries_; }
  /// A key that ended by itself.
  struct KeyEnd {
    std::string path;
    LogIndex revision;
    Duration moment{};  ///< of commit()
  };
  const std::vector<KeyEnd>& key_ends() const { return key_ends_; }
  const std::map<SessionId, LogIndex>& session_ends() const { return session_ends_; }
  /// A write of keys that was done.
  struct Write {
    Revision revision;
    bool succeeded = true;  ///< its conditions held
  };
  /// Of a session's command, unless it was not applied or refused.
  std::optional<Write> write_of(SessionId session, Sequence sequence) const;
  /// The same of a command without a session, by the value that it alone writes.
  std::optional<Write> write_of(const std::string& value) const;

  /// That is the digest of the state after entry `applied`, which is committed.
  bool is_state(LogIndex applied, const Digest& digest) const {
    return applied.value == 0 || digests_[applied.value - 1] == digest;
  }
  /// A node has applied everything to `applied` and has this state. Throws Broken (I5).
  void check_state(int node, LogIndex applied, const Digest& digest) const;
  /// The same of the state that a node has from its snapshot. Throws Broken (I9).
  void check_snapshot(int node, LogIndex applied, const Digest& digest) const;

  /// All copies of this command were answered NOT APPLIED and no other is under way. Throws Broken
  /// (I18), now or when it is applied after all.
  void forbid(SessionId session, Sequence sequence);
  /// The same of a command without a session, which is known by its reason.
  void forbid(const std::string& reason);

  /// A client was told this. Throws Broken (I17). Of a write without a session both ids are zero.
  void check_reply(SessionId session, Sequence sequence, const api::AcquireResult& result) const;
  void check_reply(SessionId session, Sequence sequence, const api::ReleaseResult& result) const;
  void check_reply(SessionId session, Sequence sequence,
                   const api::CancelAcquireResult& result) const;
  void check_reply(SessionId session, Sequence sequence, const api::PutResult& result) const;
  void check_reply(SessionId session, Sequence sequence, const api::CreateResult& result) const;
  void check_reply(SessionId session, Sequence sequence, const api::RemoveResult& result) const;
  void check_reply(SessionId session, Sequence sequence, const api::TransactResult& result) const;
  /// The same of an error that no further copy can change.
  void check_refusal(SessionId session, Sequence sequence, const api::HoldfastError& error) const;
  /// Keys, their owners and counts. Throws Broken (I15).
  void recount() const;

 private:
  using Id = std::pair<SessionId, Sequence>;
  /// What is known of a command of a session.
  struct Fate {
    Revision first;                 ///< revision of its first copy
    rsm::CommandResult result;      ///< of the first copy
    std::optional<Revision> token;  ///< acquire: granted with it
    std::set<uint8_t> end_reasons;  ///< acquire: tenures that ended
    std::optional<uint8_t> refusal;
    bool unseen = false;  ///< acquire: only its cancel has come, and `first` is that one's
  };
  /// The entry that is being judged.
  struct Applied {
    LogIndex revision;
    Term term;
    bool nothing_due = false;  ///< time alone changed nothing
    bool locks_changed = false;
    const rsm::Effect* reply = nullptr;
    bool forced = false;
    Revision handed_to;
    std::string reason;  ///< of a command without a session
  };

  void apply_command(const raft::Entry& entry);
  template <class Body>
  Body body();
  void enter(Applied& applied);
  void enter_acquire(const Applied& applied);
  void enter_release(Applied& applied);
  void take(const Applied& applied, const rsm::Effect& effect);
  void take_session_end(const Applied& applied, const rsm::Effect& effect);
  void check_once(const Applied& applied);
  void check_repeat(const Applied& applied, const Fate& fate);
  void check_decided(const Applied& applied) const;
  void mark(const Applied& applied);
  const Fate* fate(SessionId session, Sequence sequence) const;

  // history_keys.cc
  void note_key_ends(LogIndex revision);
  std::vector<api::WatchEvent> written(LogIndex revision) const;
  void enter_keys(const Applied& applied);
  void enter_sessionless(const Applied& applied);
  std::string tag();
  std::string written_value();
  const Fate* write_fate(SessionId session, Sequence sequence, int64_t revision) const;
  void enter_put(const Applied& applied, const std::vector<api::WatchEvent>& events);
  void enter_create(const Applied& applied, const std::vector<api::WatchEvent>& events);
  void enter_remove(const Applied& applied, const std::vector<api::WatchEvent>& events);
  void enter_transaction(const Applied& applied, const std::vector<api::WatchEvent>& events);
  void explain(const Applied& applied, std::span<const command::KeyOperation> operations,
               std::span<const api::WatchEvent> events) const;
  void judge_guard(const Applied& applied, const command::Guard& guard);
  void judge_step_guards(const Applied& applied, std::span<const command::KeyOperation> operations);
  bool held_by_writer(const command::Guard& guard) const;
  void mark_transaction(const Applied& applied, const command::Transact& transact);
  bool held_true(const Applied& applied, const command::KeyCompare& compare) const;
  [[noreturn]] void refuse_write(const Applied& applied, const std::string& path) const;
  void recount_keys() const;
  void check_write(SessionId session, Sequence sequence, int64_t revision, const std::string& what,
                   bool alike) const;

  World& world_;
  HistoryListener& listener_;
  rsm::StateMachine machine_;
  rsm::CommandDecoder decoder_;
  std::string_view payload_;  ///< of the entry that is being judged
  command::CommandHeader header_;
  rsm::Effects effects_;
  LockHistory locks_;
  KeyHistory keys_;
  SessionlessWrites sessionless_{world_};
  std::map<int64_t, Fate> sessionless_fates_;    ///< by revision
  std::map<std::string, Write> written_values_;  ///< those of commands without a session
  std::vector<Digest> digests_;                  ///< after index 1, 2, ...
  std::map<Id, Fate> fates_;
  std::map<SessionId, LogIndex> session_ends_;
  std::vector<KeyEnd> key_ends_;
  std::vector<Expiry> expiries_;
  std::set<Id> forbidden_;
  std::set<std::string> forbidden_reasons_;
  std::set<std::string> reasons_;  ///< of commands without a session that were applied
};

}  // namespace holdfast::sim
