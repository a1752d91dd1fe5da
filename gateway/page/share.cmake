# Copies the page and the stock client's files FROM the sources TO the build's share folder.
file (COPY ${FROM}/index.html ${FROM}/style.css ${FROM}/page.js DESTINATION ${TO}/page)

set (dist ${FROM}/node_modules/socket.io-client/dist)
if (NOT EXISTS ${dist})
    message (WARNING "The stock Socket.IO client is not here: run `npm ci` in gateway/page")
    return ()
endif ()
foreach (name socket.io.js socket.io.min.js socket.io.esm.min.js)
    file (COPY ${dist}/${name} ${dist}/${name}.map DESTINATION ${TO}/client)
endforeach ()
