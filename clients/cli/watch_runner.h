// `holdfast watch`: follows a path and prints what happens to it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/net/signal_watcher.h"
#include "base/net/timer.h"
#include "clients/cli/output.h"
#include "clients/cli/remote.h"
#include "clients/cli/session_lines.h"

namespace holdfast::cli {

struct WatchJob {
  std::string path;
  client::WatchOptions options;
  int64_t count = 0;  ///< ends after so many events; 0: never
  bool shows_progress = false;
};

/// One run, on one loop. A session that the servers end while we were away is followed by another,
/// which goes on after the last revision that was shown.
class WatchRunner {
 public:
  WatchRunner(const Context& context, WatchJob job);
  ~WatchRunner();
  /// The exit code.
  int run();

 private:
  void open();
  void opened(client::Outcome<std::shared_ptr<client::SessionCore>> outcome);
  void started(int64_t revision);
  void told(const client::WatchBatch& batch);
  void progressed(int64_t revision);
  void ended(const client::CallError& error);
  /// False: nobody takes it, and the watch is over.
  bool write(const std::string& lines);
  void close_and_finish(int exit_code);
  void finish(int exit_code);

  const Context& context_;
  WatchJob job_;  ///< its since_revision goes on with what was shown
  const SessionLines lines_;
  Output output_;
  SystemClock clock_;
  SystemEntropy entropy_;
  net::Loop loop_{clock_};
  std::unique_ptr<client::ClientCore> client_;
  net::Timer farewell_;
  std::unique_ptr<net::SignalWatcher> signals_;
  std::shared_ptr<client::SessionCore> session_;
  bool began_ = false;
  int64_t shown_ = 0;
  int closing_code_ = 0;
  std::optional<int> exit_code_;
};

}  // namespace holdfast::cli
