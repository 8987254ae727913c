# What a machine of a cluster needs (docs/install.md): after ./dev build
#   cmake --install build --component server --prefix /usr/local
#   cmake --install build --component python --prefix /usr/local
# The C++ client is a component of its own (package.cmake).
if(HOLDFAST_FUZZ)
  return()  # no programs there
endif()

install(TARGETS holdfastd holdfast RUNTIME DESTINATION bin COMPONENT server)
install(FILES deploy/systemd/holdfastd.service deploy/systemd/holdfast-backup.service
              deploy/systemd/holdfast-backup.timer
        DESTINATION lib/systemd/system COMPONENT server)
install(FILES deploy/systemd/holdfastd.flags DESTINATION share/doc/holdfast COMPONENT server)

# Debian's own Python looks below its version in /usr/local.
execute_process(COMMAND /usr/bin/python3 -c "import sys; print('%d.%d' % sys.version_info[:2])"
                OUTPUT_VARIABLE HF_PYTHON_VERSION OUTPUT_STRIP_TRAILING_WHITESPACE)
set(HOLDFAST_PYTHON_DIR lib/python${HF_PYTHON_VERSION}/dist-packages
    CACHE STRING "Where the Python client is installed, below the prefix")
install(DIRECTORY clients/python/holdfast ${CMAKE_BINARY_DIR}/gen/py/holdfast_api
        DESTINATION ${HOLDFAST_PYTHON_DIR} COMPONENT python
        FILES_MATCHING PATTERN "*.py" PATTERN "py.typed" PATTERN "__pycache__" EXCLUDE)
