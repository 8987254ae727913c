#include "clients/cli/ephemeral_runner.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "clients/cli/args.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/output.h"
#include "clients/cli/table.h"

namespace holdfast::cli {
namespace {

// Closing at the end: without an answer the key goes when the session's TTL has passed.
constexpr Duration kFarewell = 3s;
// This part of the TTL is what a command has between SIGTERM and SIGKILL, as under a lock.
constexpr int kMarginPart = 4;

void say(const std::string& message) { say_on_stderr("holdfast: " + printable(message)); }

}  // namespace

EphemeralRunner::EphemeralRunner(const Context& context, EphemeralJob job)
    : context_(context),
      job_(std::move(job)),
      lines_(context.json, say_on_stderr),
      farewell_(loop_, [this] { finish(*lost_code_); }),
      stop_timer_(loop_, [this] { on_stop_timer(); }) {}

EphemeralRunner::~EphemeralRunner() = default;

int EphemeralRunner::run() {
  client::ClientOptions options = client_options(context_.timeout);
  options.servers = context_.servers;
  auto core = client::ClientCore::create(loop_, entropy_, options);
  if (!core) return report(core.error());
  client_ = std::move(*core);
  signals_ = std::make_unique<net::SignalWatcher>(
      loop_, std::vector<int>{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD},
      [this](int number) { on_signal(number); });
  client::SessionOptions session;
  session.ttl = job_.ttl;
  session.name = (job_.command.front() + ":" + std::to_string(getpid())).substr(0, 256);
  client_->open_session(session, [this](auto outcome) { opened(std::move(outcome)); });
  while (!exit_code_) loop_.turn(1s);
  return *exit_code_;
}

void EphemeralRunner::opened(client::Outcome<std::shared_ptr<client::SessionCore>> outcome) {
  if (exit_code_) return;
  if (!outcome) {
    return finish(report(in_words_of_flags(outcome.error(), {{"ttlMs", "--session-ttl in ms"}})));
  }
  session_ = *outcome;
  session_->on_ended = [this](const client::CallError& error) { session_ended(error.message); };
  session_->on_revocation = [this](const api::RevocationNotice& notice) { noticed(notice); };
  session_->command<client::CreateKey>(
      job_.create, [this](const auto& result, const auto&) { created(result); });
}

void EphemeralRunner::created(const client::Outcome<api::CreateResult>& outcome) {
  if (exit_code_ || lost_code_) return;
  if (!outcome) return close_and_finish(report(outcome.error()));
  path_ = outcome->path;
  watch_key(*outcome);
}

// From the revision of its creation: no removal goes unseen. The command begins when the watch
// stands.
void EphemeralRunner::watch_key(const api::CreateResult& created) {
  client::WatchOptions options;
  options.since_revision = created.revision;
  options.filter = {api::EventType::KEY_REMOVED};
  client::WatchHandlers handlers;
  handlers.started = [this](int64_t) { start_child(); };
  handlers.told = [this](const client::WatchBatch& batch) { told(batch); };
  handlers.ended = [this](const client::CallError& error) { watch_ended(error); };
  watch_ = session_->watch(path_, options, std::move(handlers));
}

// A resynchronisation shows what is there: a key of that path may be another one by now.
void EphemeralRunner::told(const client::WatchBatch& batch) {
  const auto ours = [this](const api::WatchEvent& event) {
    return event.ephemeralOwner == session_->id();
  };
  const bool there = batch.resync && std::ranges::any_of(batch.events, ours);
  const bool told_of_it = batch.resync || !batch.events.empty();
  if (told_of_it && !there) key_gone("it was removed");
}

// The end of the session is told by itself.
void EphemeralRunner::watch_ended(const client::CallError& error) {
  if (exit_code_ || lost_code_ || !session_->open()) return;
  if (!child_.running()) return close_and_finish(report(error));
  key_gone("it can no longer be watched: " + error.message);
}

void EphemeralRunner::start_child() {
  if (exit_code_ || lost_code_) return;
  std::string servers;
  for (const std::string& server : context_.servers) {
    servers += (servers.empty() ? "" : ",") + server;
  }
  const int error =
      child_.start(job_.command, {{"HOLDFAST_KEY", path_},
                                  {"HOLDFAST_SESSION", std::to_string(session_->id())},
                                  {"HOLDFAST_SERVERS", servers}});
  if (error == 0) return;
  say("cannot run " + job_.command.front() + ": " + std::strerror(error));
  close_and_finish(error == ENOENT ? kExitNotFound : kExitCannotRun);
}

void EphemeralRunner::on_signal(int number) {
  if (number == SIGCHLD) {
    if (const auto code = child_.reap()) close_and_finish(lost_code_.value_or(*code));
    return;
  }
  if (child_.running()) return child_.signal(number);
  if (number == SIGUSR1 || number == SIGUSR2 || lost_code_ || exit_code_) return;
  close_and_finish(128 + number);
}

// An operator ends the session: as with a lock, the command is told a margin before.
void EphemeralRunner::noticed(const api::RevocationNotice& notice) {
  if (exit_code_ || told_to_stop_ || farewell_.armed() || !notice.path.empty()) return;
  lines_.notice(session_->id(), notice);
  kill_at_ = session_->lease().ended_by_notice();
  stop_timer_.arm(std::max(clock_.now(), kill_at_ - job_.ttl / kMarginPart));
}

std::string EphemeralRunner::gone_sentence(const std::string& why) const {
  return "the key is gone (" + why + ")" + (child_.running() ? "; stopping the command" : "");
}

// The key went with it.
void EphemeralRunner::session_ended(const std::string& why) {
  if (exit_code_ || farewell_.armed()) return;
  lines_.session_ended(session_->id(), why, gone_sentence(why));
  stop_for_good();
}

void EphemeralRunner::key_gone(const std::string& why) {
  if (exit_code_ || farewell_.armed()) return;
  lines_.say({{"type", "gone"}, {"session_id", session_->id()}, {"path", path_}, {"reason", why}},
             gone_sentence(why));
  stop_for_good();
}

// Whoever relies on the key must not take the command for alive. Unlike a lost lock it does no harm
// in the time that it needs to end.
void EphemeralRunner::stop_for_good() {
  if (!child_.running()) return close_and_finish(kExitLost);
  kill_at_ = std::min(kill_at_, clock_.now() + job_.ttl / kMarginPart);
  if (!told_to_stop_) on_stop_timer();
}

// SIGTERM, and SIGKILL to the whole group when the time is up.
void EphemeralRunner::on_stop_timer() {
  lost_code_ = kExitLost;
  if (!child_.running()) return close_and_finish(kExitLost);
  if (told_to_stop_) return child_.signal(SIGKILL);
  told_to_stop_ = true;
  child_.signal(SIGTERM);
  child_.signal(SIGCONT);
  stop_timer_.arm(kill_at_);
}

void EphemeralRunner::close_and_finish(int exit_code) {
  if (session_ == nullptr || !session_->open()) return finish(exit_code);
  lost_code_ = exit_code;
  stop_timer_.cancel();
  farewell_.arm_after(kFarewell);
  session_->on_ended = nullptr;
  session_->unwatch(watch_);
  session_->close([this, exit_code](const auto&) { finish(exit_code); });
}

void EphemeralRunner::finish(int exit_code) {
  if (!exit_code_) exit_code_ = exit_code;
}

}  // namespace holdfast::cli
