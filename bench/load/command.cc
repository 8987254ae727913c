#include "bench/load/command.h"

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "bench/load/measure.h"

namespace holdfast::bench {

Command::Command(const std::vector<std::string>& words) {
  const std::string program =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "holdfast";
  std::vector<std::string> all = {program};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> argv;
  for (std::string& word : all) argv.push_back(word.data());
  argv.push_back(nullptr);
  text_ = "holdfast";
  for (const std::string& word : words) text_ += " " + word;
  // Of this program's memory nothing is copied, not even page by page later: it measures meanwhile.
  pid_ = ::vfork();
  if (pid_ < 0) fail("cannot start " + program);
  if (pid_ != 0) return;
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  ::execv(argv[0], argv.data());
  constexpr int kNotFound = 127;
  ::_exit(kNotFound);
}

std::optional<int> Command::ended() {
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == 0) return std::nullopt;
  return status;
}

void Command::wait() {
  int status = 0;
  ::waitpid(pid_, &status, 0);
  if (status != 0) fail(text_ + ": wait status " + std::to_string(status));
}

}  // namespace holdfast::bench
