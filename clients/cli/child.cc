#include "clients/cli/child.h"

#include <fcntl.h>
<<<<<<< HEAD
#include <signal.h>
=======
>>>>>>> 6cf7560 (Add the holdfast command: lock, elect, locks, sessions, status, log and what operators need)
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
<<<<<<< HEAD
=======
#include <csignal>
>>>>>>> 6cf7560 (Add the holdfast command: lock, elect, locks, sessions, status, log and what operators need)
#include <cstdlib>

namespace holdfast::cli {

<<<<<<< HEAD
Child::~Child() {
  if (on_terminal_) take_terminal(getpgrp());
}

// A background job that takes the terminal gets SIGTTOU unless it blocks it.
void Child::take_terminal(pid_t group) const {
  sigset_t stop, before;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTTOU);
  sigprocmask(SIG_BLOCK, &stop, &before);
  tcsetpgrp(STDIN_FILENO, group);
  sigprocmask(SIG_SETMASK, &before, nullptr);
}

void Child::become(const std::vector<std::string>& command, int error_fd) const {
  setpgid(0, 0);
  if (on_terminal_) take_terminal(getpid());
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD, SIGPIPE}) {
    ::signal(number, SIG_DFL);
  }
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  const int error = errno;
  const ssize_t written = write(error_fd, &error, sizeof error);
  _exit(written == sizeof error ? 127 : 126);
}

int Child::start(const std::vector<std::string>& command,
                 const std::map<std::string, std::string>& environment) {
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return errno;
  on_terminal_ = isatty(STDIN_FILENO) == 1 && tcgetpgrp(STDIN_FILENO) == getpgrp();
  const pid_t pid = fork();
  if (pid == 0) become(command, fds[1]);
  const int fork_error = errno;
  close(fds[1]);
  int error = 0;
  if (pid < 0) {
    error = fork_error;
  } else {
    setpgid(pid, pid);
    pid_ = pid;
    ssize_t got = 0;
    do {
      got = read(fds[0], &error, sizeof error);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
      waitpid(pid, nullptr, 0);
      pid_ = 0;
    }
  }
  close(fds[0]);
=======
namespace {

/// In the forked process: becomes the command, or tells errno through the pipe.
[[noreturn]] void become(const std::vector<std::string>& command,
                         const std::map<std::string, std::string>& environment, int errors) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGPIPE, SIG_DFL);
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  execvp(words[0], words.data());
  const int error = errno;
  static_cast<void>(!write(errors, &error, sizeof error));
  _exit(127);
}

}  // namespace

int Child::start(const std::vector<std::string>& command,
                 const std::map<std::string, std::string>& environment) {
  int errors[2];
  if (pipe2(errors, O_CLOEXEC) != 0) return errno;
  pid_ = fork();
  if (pid_ < 0) {
    const int error = errno;
    ::close(errors[0]);
    ::close(errors[1]);
    return error;
  }
  if (pid_ == 0) become(command, environment, errors[1]);
  setpgid(pid_, pid_);  // also here: a signal must not race the child's own call
  ::close(errors[1]);
  int error = 0;
  const ssize_t got = ::read(errors[0], &error, sizeof error);
  ::close(errors[0]);
  if (got != static_cast<ssize_t>(sizeof error)) return 0;
  waitpid(pid_, nullptr, 0);
  ended_ = true;
>>>>>>> 6cf7560 (Add the holdfast command: lock, elect, locks, sessions, status, log and what operators need)
  return error;
}

void Child::signal(int number) const {
<<<<<<< HEAD
  if (pid_ > 0) kill(-pid_, number);
}

std::optional<int> Child::reap() {
  int status = 0;
  if (pid_ <= 0 || waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  pid_ = 0;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
=======
  if (pid_ > 0 && !ended_) kill(-pid_, number);
}

bool Child::ended() {
  if (ended_) return true;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return false;
  // What it left behind in its group must not outlive the lock either.
  kill(-pid_, SIGKILL);
  ended_ = true;
  exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return true;
>>>>>>> 6cf7560 (Add the holdfast command: lock, elect, locks, sessions, status, log and what operators need)
}

}  // namespace holdfast::cli
