# Copies the pages and the stock client's files FROM the sources TO the build's share folder.
file (COPY ${FROM}/index.html ${FROM}/style.css ${FROM}/page.js ${FROM}/board ${FROM}/demo
      DESTINATION ${TO}/page
      PATTERN demo/*.html EXCLUDE)
# The demos share what is at their top: in each, its own name leads nowhere.
file (READ ${FROM}/demo/head.html head)
file (READ ${FROM}/demo/name.html name)
foreach (demo chat control parcel)
    string (CONFIGURE "${head}" DEMO_HEAD @ONLY)
    string (REPLACE "href=\"../${demo}/\"" "aria-current=\"page\" href=\"./\"" DEMO_NAME "${name}")
    configure_file (${FROM}/demo/${demo}/index.html ${TO}/page/demo/${demo}/index.html @ONLY)
endforeach ()
# The helper goes without its comments and its margin.
file (READ ${FROM}/tidemark.js helper)
string (REGEX REPLACE "\n *(//|/\\*\\*|\\*)[^\n]*" "" helper "${helper}")
string (REGEX REPLACE "\n +" "\n" helper "${helper}")
string (REGEX REPLACE "\n\n+" "\n\n" helper "${helper}")
file (WRITE ${TO}/client/tidemark.js "${helper}")

set (dist ${FROM}/node_modules/socket.io-client/dist)
if (NOT EXISTS ${dist})
    message (WARNING "The stock Socket.IO client is not here: run gateway/page/fetch-client.sh")
    return ()
endif ()
foreach (name socket.io.js socket.io.min.js socket.io.esm.min.js)
    file (COPY ${dist}/${name} ${dist}/${name}.map DESTINATION ${TO}/client)
endforeach ()
