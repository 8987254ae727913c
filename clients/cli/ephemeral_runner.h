// `holdfast create --ephemeral`: a key that is there while a command runs.
#pragma once

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

struct EphemeralJob {
  api::CreateRequest create;
  Duration ttl = 10s;
  std::vector<std::string> command;
};

/// One run, on one loop: open, create, watch, run, close.
class EphemeralRunner {
 public:
  EphemeralRunner(const Context& context, EphemeralJob job);
  ~EphemeralRunner();
  /// The exit code.
  int run();

 private:
  void opened(client::Outcome<std::shared_ptr<client::SessionCore>> outcome);
  void created(const client::Outcome<api::CreateResult>& outcome);
  void watch_key(const api::CreateResult& created);
  void told(const client::WatchBatch& batch);
  void watch_ended(const client::CallError& error);
  void start_child();
  void on_signal(int number);
  void noticed(const api::RevocationNotice& notice);
  void session_ended(const std::string& why);
  void key_gone(const std::string& why);
  void stop_for_good();
  std::string gone_sentence(const std::string& why) const;
  void on_stop_timer();
  void close_and_finish(int exit_code);
  void finish(int exit_code);

  const Context& context_;
  const EphemeralJob job_;
  const SessionLines lines_;
  SystemClock clock_;
  SystemEntropy entropy_;
  net::Loop loop_{clock_};
  std::unique_ptr<client::ClientCore> client_;
  net::Timer farewell_;
  net::Timer stop_timer_;
  std::unique_ptr<net::SignalWatcher> signals_;
  std::shared_ptr<client::SessionCore> session_;
  std::string path_;   ///< of the key, as it was created
  int64_t watch_ = 0;  ///< of the key
  Child child_;
  Instant kill_at_ = Instant::max();  ///< a command that is still there then is killed
  bool told_to_stop_ = false;
  std::optional<int> lost_code_;  ///< the key is gone or going, or nobody wants it any more
  std::optional<int> exit_code_;
};

}  // namespace holdfast::cli
