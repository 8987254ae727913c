// A hand of a model client: does the operations of its script one after the other in the client's
// session. Several hands of one client exclude each other like several clients.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/lock_history.h"
#include "tests/simulation/sim_client.h"

namespace holdfast::sim {

class Hand {
 public:
  Hand(SimClient& client, Script script);

  /// The session is there: goes on with the script.
  void begin();
  /// The session is gone, and all it had.
  void drop();
  /// Gives back what it has as soon as it can.
  void hurry();
  /// A handle whose deadline has passed is over, though the session may live on.
  void check_deadline();
  /// The acquire of that sequence may have been granted.
  void hint(int64_t acquire_sequence);

  bool holds(Revision holder_id) const { return sure_ && holder_ == holder_id; }
  bool idle() const { return state_ == State::kIdle; }
  std::string describe_state() const;

 private:
  enum class State { kIdle, kAcquiring, kWaiting, kHolding, kReleasing, kAsking };
  template <class Request>
  void acquire_with(const Request& request);

  void next();
  void run();
  void finish();

  void acquire();
  api::AcquireRequest lock_request() const;
  api::AcquireAllRequest lock_all_request() const;
  void on_acquire(const api::AcquireResult& result);
  void on_granted(const api::AcquireResult& result);
  void on_waiting();
  void cancel_later();
  void cancel();
  void set_value();
  void give_back();
  void hand_over();
  void release(int64_t to);
  void on_release(int64_t sequence, const api::ReleaseResult& result);
  void release_all();

  void describe();
  void check_token();
  void list();
  void judge(const api::DescribeLockResult& result) const;
  int64_t read_floor() const;
  api::RequestContext read_context() const;

  void revoke();
  void expire();
  void change_setting();
  void stray();
  void stray_with(int64_t holder_id);

  // hand_writes.cc
  template <class Request>
  void write(const Request& request);
  template <class Request>
  void write_with(const Request& request, const std::function<void()>& then);
  template <class Request>
  void write_sessionless(const Request& request, SimNode& node, int64_t copies);
  template <class Request>
  void judge_sessionless(const Request& request, int64_t floor,
                         const Outcome<ResultOf<Request>>& outcome);
  void mark_refusal(const api::HoldfastError& error);
  std::function<void()> finish_this();
  std::string new_value(char fill) const;
  api::LockGuard own_grant() const;
  api::LockGuard guard() const;
  int64_t expected_version(const std::string& path) const;
  api::PutRequest put_request(const std::string& path) const;
  api::CreateRequest create_request(const std::string& path) const;
  api::Compare condition() const;
  static api::Compare holding(const api::LockGuard& lock);
  std::vector<api::Compare> conditions(const api::GetResult& read) const;
  void put();
  void put_guarded();
  void transact_guarded();
  void create();
  void remove();
  void transact();
  void transact_if(const std::vector<api::Compare>& compares);
  api::TransactRequest steps_request() const;
  void guard_steps(api::TransactRequest& request, const api::LockGuard& lock) const;

  // hand_keys.cc
  api::Consistency::type consistency() const;
  void get();
  void take_read(const api::GetRequest& request, const api::GetResult& result, int64_t floor);
  void get_many();
  void judge_many(const api::GetManyRequest& request, const api::GetManyResult& result) const;
  void list_keys();
  void list_page(const std::string& page, int64_t before);
  void judge_page(const api::ListKeysRequest& request, const api::ListKeysResult& result) const;
  void await_change(int64_t after, Duration end);
  void judge_wait(const api::WaitForChangeRequest& request,
                  const api::WaitForChangeResult& result) const;
  void watch();

  std::string new_reason();
  template <class Request>
  void administrate(const Request& request, const std::string& reason);

  std::string path() const;
  LockHistory::Claim claim() const;
  void tell(const std::string& what) const;

  SimClient& client_;
  const Script script_;
  const std::string name_;
  size_t at_ = 0;
  Op op_;
  uint64_t turn_ = 0;  ///< of the operation: what belongs to an earlier one is ignored
  State state_ = State::kIdle;
  bool thinking_ = false;
  int64_t sequence_ = 0;
  std::shared_ptr<Copies> copies_;
  bool asking_ = false;
  bool cancelling_ = false;
  Revision holder_;
  Revision token_;
  std::vector<LockHistory::Claim> claims_;
  bool sure_ = false;
  int reasons_ = 0;
  std::string tag_;  ///< of the operation: its writes have it in their values
  std::map<std::string, int64_t> versions_;  ///< of keys, as last read
  int pages_ = 0;
};

}  // namespace holdfast::sim
