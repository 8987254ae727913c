#include "clients/cli/ephemeral_runner.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "clients/cli/exit_codes.h"

namespace holdfast::cli {
namespace {

// Closing at the end: without an answer the key goes when the session's TTL has passed.
constexpr Duration kFarewell = 3s;

void say(const std::string& message) { std::fprintf(stderr, "holdfast: %s\n", message.c_str()); }

}  // namespace

EphemeralRunner::EphemeralRunner(const Context& context, EphemeralJob job)
    : context_(context), job_(std::move(job)), farewell_(loop_, [this] { finish(*lost_code_); }) {}

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
  if (!outcome) return finish(report(outcome.error()));
  session_ = *outcome;
  session_->on_ended = [this](const client::CallError& error) { session_ended(error); };
  session_->command<client::CreateKey>(
      job_.create, [this](const auto& result, const auto&) { created(result); });
}

void EphemeralRunner::created(const client::Outcome<api::CreateResult>& outcome) {
  if (exit_code_ || lost_code_) return;
  if (!outcome) return close_and_finish(report(outcome.error()));
  std::string servers;
  for (const std::string& server : context_.servers) {
    servers += (servers.empty() ? "" : ",") + server;
  }
  const int error =
      child_.start(job_.command, {{"HOLDFAST_KEY", outcome->path},
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

// The key is gone: whoever relies on it must not take the command for alive.
void EphemeralRunner::session_ended(const client::CallError& error) {
  if (exit_code_) return;
  say("the key is gone (" + error.message + "); stopping the command");
  lost_code_ = kExitLost;
  if (!child_.running()) return finish(kExitLost);
  child_.signal(SIGTERM);
  child_.signal(SIGCONT);
}

void EphemeralRunner::close_and_finish(int exit_code) {
  if (session_ == nullptr || !session_->open()) return finish(exit_code);
  lost_code_ = exit_code;
  farewell_.arm_after(kFarewell);
  session_->on_ended = nullptr;
  session_->close([this, exit_code](const auto&) { finish(exit_code); });
}

void EphemeralRunner::finish(int exit_code) {
  if (!exit_code_) exit_code_ = exit_code;
}

}  // namespace holdfast::cli
