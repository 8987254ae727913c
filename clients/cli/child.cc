#include "clients/cli/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace holdfast::cli {

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
  return error;
}

void Child::signal(int number) const {
  if (pid_ > 0) kill(-pid_, number);
}

std::optional<int> Child::reap() {
  int status = 0;
  if (pid_ <= 0 || waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  pid_ = 0;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace holdfast::cli
