// `holdfast lock` and `holdfast elect`: a command that runs only while a lock is held.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/net/signal_watcher.h"
#include "base/net/timer.h"
#include "clients/cli/child.h"
#include "clients/cli/remote.h"
#include "clients/cli/session_lines.h"

namespace holdfast::cli {

struct LockJob {
  std::string path;
  client::LockOptions lock;
  client::SessionOptions session;
  Duration margin = 2500ms;  ///< SIGTERM this long before the deadline
  std::vector<std::string> command;
  bool quiet = false;  ///< not a word of a wait
};

/// One run, on one loop: open, acquire, run, release, close.
class LockRunner {
 public:
  LockRunner(const Context& context, LockJob job);
  ~LockRunner();
  /// The exit code.
  int run();

 private:
  void open();
  void opened(client::Outcome<std::shared_ptr<client::SessionCore>> outcome);
  void ask_what_is_waited_for();
  void tell_of_wait(const api::LockInfo& lock);
  void acquired(client::Outcome<client::Acquired> outcome);
  void not_acquired(const client::CallError& error);
  void not_granted(const api::AcquireResult& result);
  void explain_and_finish(const std::string& message);
  void start_child();
  void on_signal(int number);
  void child_ended(int exit_code);
  void watch_deadline();
  void on_deadline_timer();
  void lost(client::LostReason reason);
  void give_up();
  client::CallError why_given_up() const;
  void release_and_finish(int exit_code);
  void close_and_finish(int exit_code);
  void finish(int exit_code);

  const Context& context_;
  const LockJob job_;
  const SessionLines lines_;
  SystemClock clock_;
  SystemEntropy entropy_;
  net::Loop loop_{clock_};
  std::unique_ptr<client::ClientCore> client_;
  net::Timer deadline_timer_;
  net::Timer give_up_timer_;
  net::Timer wait_timer_;  ///< then it is told that the lock is waited for
  std::unique_ptr<net::SignalWatcher> signals_;
  Instant wait_ends_ = Instant::max();
  std::shared_ptr<client::SessionCore> session_;
  client::SessionCore::Ticket ticket_ = 0;
  std::shared_ptr<client::Hold> hold_;
  Child child_;
  bool given_up_ = false;  ///< the wait is over without a word of a server
  bool told_to_stop_ = false;
  bool told_lost_ = false;        ///< it is being killed
  std::optional<int> lost_code_;  ///< the lock was lost, or its deadline came too close
  std::optional<int> exit_code_;
};

}  // namespace holdfast::cli
