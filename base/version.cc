#include "base/version.h"

namespace holdfast {

std::string version_text(int32_t feature_level) {
  const std::string commit = HOLDFAST_COMMIT;
  return std::string(kVersion) + ", feature level " + std::to_string(feature_level) +
         (commit.empty() ? "" : ", commit " + commit);
}

}  // namespace holdfast
