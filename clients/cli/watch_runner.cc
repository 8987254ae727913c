#include "clients/cli/watch_runner.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "clients/cli/exit_codes.h"
#include "clients/cli/watch_lines.h"

namespace holdfast::cli {
namespace {

constexpr Duration kTtl = 30s;
// Closing at the end: without an answer the session goes when its TTL has passed.
constexpr Duration kFarewell = 1s;
const std::vector<int> kEndedBy = {SIGINT, SIGTERM, SIGHUP};

}  // namespace

WatchRunner::WatchRunner(const Context& context, WatchJob job)
    : context_(context),
      job_(std::move(job)),
      lines_(context.json, [this](const std::string& line) { write(line + "\n"); }),
      output_(kEndedBy),
      farewell_(loop_, [this] { finish(closing_code_); }) {}

WatchRunner::~WatchRunner() = default;

int WatchRunner::run() {
  client::ClientOptions options = client_options(context_.timeout);
  options.servers = context_.servers;
  auto core = client::ClientCore::create(loop_, entropy_, options);
  if (!core) return report(core.error());
  client_ = std::move(*core);
  signals_ = std::make_unique<net::SignalWatcher>(loop_, kEndedBy,
                                                  [this](int) { close_and_finish(kExitOk); });
  open();
  while (!exit_code_) loop_.turn(1s);
  return *exit_code_;
}

void WatchRunner::open() {
  client::SessionOptions options;
  options.ttl = kTtl;
  options.name = "holdfast watch:" + std::to_string(getpid());
  client_->open_session(options, [this](auto outcome) { opened(std::move(outcome)); });
}

void WatchRunner::opened(client::Outcome<std::shared_ptr<client::SessionCore>> outcome) {
  if (exit_code_) return;
  if (!outcome) return finish(report(outcome.error()));
  session_ = *outcome;
  session_->on_revocation = [this](const api::RevocationNotice& notice) {
    lines_.notice(session_->id(), notice);
  };
  client::WatchHandlers handlers;
  handlers.started = [this](int64_t revision) { started(revision); };
  handlers.told = [this](const client::WatchBatch& batch) { told(batch); };
  handlers.progressed = [this](int64_t revision) { progressed(revision); };
  handlers.ended = [this](const client::CallError& error) { ended(error); };
  session_->watch(job_.path, job_.options, std::move(handlers));
}

void WatchRunner::started(int64_t revision) {
  const int64_t asked = std::exchange(job_.options.since_revision, revision);
  if (std::exchange(began_, true)) return;
  if (context_.json && !write(beginning_line(job_.path, revision))) return;
  if (!context_.json) {
    say_on_stderr("holdfast: watching " + job_.path + " after revision " +
                  std::to_string(revision));
  }
  // A session's id is its first revision: whatever anybody can have seen before is below it. One
  // that begins now begins above it: others have gone on meanwhile.
  if (asked == 0 || revision <= session_->id()) return;
  say_on_stderr("holdfast: revision " + std::to_string(revision) +
                " is yet to come, the servers are at " + std::to_string(session_->id()) +
                " or a little above: nothing is shown until then");
}

void WatchRunner::told(const client::WatchBatch& batch) {
  job_.options.since_revision = batch.revision;
  std::string lines = batch.resync ? resync_line(batch, context_.json) : "";
  for (const api::WatchEvent& event : batch.events) {
    lines += event_line(batch, event, job_.options.with_values, context_.json);
    if (++shown_ == job_.count) break;
  }
  if (!write(lines)) return;
  if (job_.count > 0 && shown_ >= job_.count) close_and_finish(kExitOk);
}

void WatchRunner::progressed(int64_t revision) {
  job_.options.since_revision = revision;
  if (job_.shows_progress) write(progress_line(revision, context_.json));
}

void WatchRunner::ended(const client::CallError& error) {
  if (exit_code_ || farewell_.armed()) return;
  if (error.code != ErrorCode::kSessionExpired) return close_and_finish(report(error));
  lines_.session_ended(session_->id(), error.message,
                       error.message + "; watching on with another session");
  session_.reset();
  open();
}

bool WatchRunner::write(const std::string& lines) {
  if (farewell_.armed() || exit_code_) return false;
  switch (output_.write(lines)) {
    case Output::Taken::kAll:
      return true;
    case Output::Taken::kInterrupted:
      close_and_finish(kExitOk);
      return false;
    case Output::Taken::kFailed:
      report_not_taken(errno);
      close_and_finish(kExitCannotWrite);
      return false;
  }
  return false;
}

void WatchRunner::close_and_finish(int exit_code) {
  if (farewell_.armed()) return;
  if (session_ == nullptr || !session_->open()) return finish(exit_code);
  closing_code_ = exit_code;
  farewell_.arm_after(kFarewell);
  session_->close([this, exit_code](const auto&) { finish(exit_code); });
}

void WatchRunner::finish(int exit_code) {
  if (!exit_code_) exit_code_ = exit_code;
}

}  // namespace holdfast::cli
