<<<<<<< HEAD
// The `holdfast` command.
#include <string>
#include <vector>

#include "clients/cli/commands.h"

int main(int argc, char** argv) {
=======
// holdfast: the command line of a Holdfast cluster. See clients/cli/ and docs/cli.md.
#include <csignal>
#include <string>
#include <vector>

#include "clients/cli/command.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
>>>>>>> 6cf7560 (Add the holdfast command: lock, elect, locks, sessions, status, log and what operators need)
  return holdfast::cli::run(std::vector<std::string>(argv + 1, argv + argc));
}
