// The `holdfast` command.
#include <string>
#include <vector>

#include "clients/cli/commands.h"

int main(int argc, char** argv) {
  return holdfast::cli::run(std::vector<std::string>(argv + 1, argv + argc));
}
