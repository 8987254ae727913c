// `holdfast snapshot save`: a server's state into a file, while the server runs.
#pragma once

#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/net/signal_watcher.h"
#include "clients/cli/progress.h"
#include "clients/cli/remote.h"
#include "coordinator/loading/snapshot_file.h"
#include "coordinator/snapshot/received_file.h"
#include "raft/storage/posix_file_system.h"

namespace holdfast::cli {

struct SaveJob {
  std::string path;
  bool force = false;  ///< replaces what is there
  bool local = false;  ///< what the server has applied will do
};

/// One run. The pieces of a copy go into a file beside the one that is wanted, which gets its name
/// when all is there, verified and durable: whatever happens before leaves nothing. All pieces are
/// of one server, since each makes a copy of its own; if it is lost the next one is asked from the
/// beginning.
class SnapshotSaver {
 public:
  SnapshotSaver(const Context& context, SaveJob job);
  /// The exit code.
  int run();

 private:
  using Piece = client::Outcome<api::SnapshotPieceResult>;

  // Each says what is wrong and returns the exit code.
  int check_target();
  int fetch();
  int take(const api::SnapshotPieceResult& piece);
  int put_in_place();
  int fail(const client::CallError& error);
  int fail(const Error& error, int exit_code);
  int stopped();

  Piece ask();
  bool fits(const api::SnapshotPieceResult& piece) const;
  bool in_no_cluster() const;
  bool loads(const client::CallError& error) const;
  bool goes_round(const client::CallError& error);
  bool goes_on_elsewhere(const client::CallError& error);
  void leave_for_the_next();
  void pause();
  void begin_anew();
  void tell(const loading::SnapshotFile& file);

  const Context& context_;
  const SaveJob job_;
  const std::string part_;  ///< where the pieces go
  SystemClock clock_;
  SystemEntropy entropy_;
  raft::PosixFileSystem files_;
  net::Loop loop_{clock_};
  int signal_ = 0;  ///< that wants this to end
  net::SignalWatcher signals_{
      loop_, {SIGINT, SIGTERM, SIGHUP, SIGQUIT}, [this](int n) { signal_ = n; }};
  Progress progress_{clock_};
  std::unique_ptr<client::ClientCore> client_;
  size_t server_ = 0;    ///< in context_.admins
  size_t failures_ = 0;  ///< servers in a row that had no piece to give, and load no state
  size_t loading_ = 0;   ///< answers without a piece in between, of servers that load their state
  int64_t wanted_ = 0;   ///< the revision that is waited for, once a server has named it
  Instant heard_at_;     ///< a server had a state to give, or the command began
  // What arrives, and of what copy it is; zero: of none yet.
  std::unique_ptr<snapshot::ReceivedFile> file_;
  int64_t cluster_ = 0;
  int64_t copy_ = 0;
  int64_t revision_ = 0;
  uint64_t bytes_ = 0;
  uint64_t sum_ = 0;
  uint64_t offset_ = 0;  ///< all before it is written
};

}  // namespace holdfast::cli
