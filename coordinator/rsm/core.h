// The inside of the state machine: one object that applies one entry at a time. Split over
//   core.cc              the frame: decode, time, what is due, exactly-once, grants, rows
//   session_commands.cc  commands on sessions, and the operator's on all
//   lock_commands.cc     commands on locks
//   key_commands.cc      commands on keys
//   core_rows.cc         rows of its own, load, invariants
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "coordinator/rsm/command_codec.h"
#include "coordinator/rsm/effects.h"
#include "coordinator/rsm/settings.h"
#include "coordinator/rsm/state_machine.h"
#include "coordinator/tree/key_tree.h"
#include "lockmgr/lock_table.h"
#include "session/session_table.h"

namespace holdfast::rsm {

class StateMachine::Core {
 public:
  explicit Core(const Options& options);

  ApplyStatus apply(LogIndex index, Term entry_term, std::string_view payload, Effects& effects);
  ApplyStatus skip(LogIndex index, uint32_t level);

  std::optional<CommandResult> lookup(SessionId session, Sequence sequence) const;
  void notices_of(SessionId session, std::vector<lockmgr::Notice>& out) const;
  std::optional<int64_t> next_due_ms() const;

  Digest digest() const;
  Status load(RowTable table, uint64_t id, std::string_view row);
  Status finish_load();
  std::string check_invariants() const;

  const RowLog& rows() const { return rows_; }
  const session::SessionTable& sessions() const { return sessions_; }
  const lockmgr::LockTable& locks() const { return locks_; }
  const tree::KeyTree& keys() const { return keys_; }
  std::span<const tree::Event> key_events() const { return key_events_; }
  const Settings& settings() const { return settings_; }
  LogIndex applied() const { return applied_; }
  uint64_t owned_by(SessionId session) const {
    return locks_.places_of(session) + keys_.ephemerals_of(session);
  }
  int64_t cluster_time_ms() const { return cluster_time_ms_; }
  int32_t level() const { return level_; }
  /// Cluster time until which a restore holds all locks back; may be in the past, zero: none.
  int64_t held_until_ms() const { return settings_.get(SettingId::kRestoreHoldUntilMs); }

 private:
  /// How a kind of command is run. What it decodes it decodes itself.
  struct Handler {
    void (Core::*run)() = nullptr;
    bool of_session = false;  ///< needs a live session; of others the header's session only counts
                              ///< together with a sequence
    bool remembered = false;  ///< needs a sequence
  };
  static const Handler* handler_of(command::CommandKind::type kind);

  // ---- core.cc
  void apply_decoded();
  void tell_tenures_kept();
  void run_due();
  size_t end_due_sessions();
  void run_command();
  bool enter_session(const Handler& handler);
  bool take_acknowledged();
  bool enter_window();
  bool refuse_other_content();
  bool check_window_room();
  void settle();
  void take_ended(const lockmgr::Ended& ended);
  void take_refused(const lockmgr::Refused& refused);
  void take_granted(const lockmgr::Granted& granted);
  void take_notice(const lockmgr::Notice& notice);
  void record();
  void reply();
  CommandResult waiting_result(SessionId session, Sequence sequence) const;
  void reject(ErrorCode code, std::string message);
  void reject(const Error& error) { reject(error.code, error.message); }
  void malformed(const Error& error);
  session::WindowLimits window_limits() const;
  Effect& add(EffectKind kind) { return effects_->add(kind, applied_); }
  /// Decodes the body; rejects the command and answers false if it is malformed.
  template <class Body>
  bool decode(Body& body);

  // ---- session_commands.cc
  void open_session();
  void close_session();
  void mark_late();
  void renew_late();
  void expire_sessions();
  void revoke_session();
  void tick();
  void change_settings();
  void restore();
  void shorten_hold(int64_t before_ms);
  bool check_open(const command::OpenSession& body);
  bool check_batch(const char* what, size_t size);
  bool check_notice(int64_t notice_ms, std::string_view reason);
  bool check_text(const char* what, std::string_view text, SettingId limit);
  bool check_bytes(const char* what, size_t size, SettingId limit);
  bool check_range(const char* what, int64_t value, int64_t smallest, int64_t largest);
  bool is_void() const { return header_.decidedTerm != static_cast<int64_t>(entry_term_.value); }
  void end_sessions(std::span<const lockmgr::SessionEnd> ends);
  std::string_view note_of(const session::Session& session) const;

  // ---- lock_commands.cc
  void acquire();
  void acquire_all();
  void start_acquire(std::span<const lockmgr::Claim> claims, const lockmgr::AcquireOptions& options,
                     std::string_view owner);
  void cancel_acquire();
  void decide_cancel();
  void cancel_unknown(Sequence target);
  bool answer_held(Sequence target);
  CommandResult cancelled_result() const;
  void release();
  void release_all();
  void set_holder_value();
  void revoke_lock();
  void acknowledge_notices();
  bool check_path(std::string_view path);
  bool check_form(std::string_view path);
  bool check_id(const char* what, int64_t id);
  bool check_claim(const command::LockClaim& claim);
  template <class Body>
  bool check_options(const Body& body);

  // ---- key_commands.cc
  void put_key();
  void create_key();
  void remove_key();
  void transact();
  bool take(const command::PutKey& body);
  bool take(const command::CreateKey& body);
  bool take(const command::RemoveKey& body);
  bool take(const command::KeyOperation& operation);
  bool check_key_kind(const command::CreateKey& body);
  bool check_guard(const command::Guard& guard);
  bool check_transaction(const command::Transact& body);
  bool check_compare(const command::KeyCompare& compare);
  bool holds(const command::KeyCompare& compare) const;
  bool take_operations(const char* which, const std::vector<command::KeyOperation>& operations);
  bool apply_operations(const char* which);
  void keep_outcome(bool succeeded);
  tree::Limits key_limits() const;

  // ---- core_rows.cc
  void write_meta();
  void write_settings(const std::map<std::string, int64_t>& changes);
  void write_setting(SettingId id);
  Status load_meta(uint64_t id, std::string_view row);
  Status load_setting(uint64_t id, std::string_view row);
  std::string check_links() const;
  void replace_hash(Digest& hash, const Digest& fresh);

  RowLog rows_;
  session::SessionTable sessions_{rows_};
  lockmgr::LockTable locks_;
  tree::KeyTree keys_;
  Settings settings_;
  LogIndex applied_;
  const int32_t known_level_;  ///< by this program
  int32_t level_ = 1;          ///< in force: the highest recorded, or of any command applied
  int64_t cluster_time_ms_ = 0;
  uint64_t tenures_kept_ = 0;  ///< what the lock table was told; zero before its first entry
  CommandDecoder decoder_;
  Digest own_digest_;
  Digest meta_hash_;
  std::array<Digest, kSettings> setting_hashes_{};

  // The entry being applied.
  command::CommandHeader header_;
  Term entry_term_;
  Effects* effects_ = nullptr;
  std::span<const tree::Event> key_events_;
  session::Session* session_ = nullptr;  ///< the command's own; null if none or ended meanwhile
  Sequence sequence_;
  uint64_t content_hash_ = 0;
  bool to_be_kept_ = false;  ///< `result_` is recorded for a retry
  bool waiting_ = false;     ///< the window knows the sequence: its result is that after settle()
  Sequence late_cancel_;     ///< acquire whose outcome answers the command; zero: none
  CommandResult result_;

  // Bodies and lists are reused, so that in steady state decoding allocates nothing.
  command::Acquire acquire_body_;
  command::AcquireAll acquire_all_body_;
  command::CancelAcquire cancel_body_;
  command::Release release_body_;
  command::SetHolderValue value_body_;
  command::PutKey put_body_;
  command::CreateKey create_body_;
  command::RemoveKey remove_body_;
  std::vector<session::SequenceRange> ranges_;
  std::vector<lockmgr::Claim> claims_;
  std::vector<lockmgr::SessionEnd> ends_;
  std::vector<SessionId> due_;
  std::vector<Revision> notice_ids_;
  std::vector<SessionId> ended_;
  std::vector<tree::Operation> operations_;
  std::vector<tree::Outcome> outcomes_;
  CommandEncoder encoder_;
};

template <class Body>
bool StateMachine::Core::decode(Body& body) {
  const Status status = decoder_.body(body);
  if (!status.ok()) reject(status.error());
  return status.ok();
}

}  // namespace holdfast::rsm
