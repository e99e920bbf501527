# --- start -----------------------------------------------------------------------------------------------------------

SELF=$0
PART=front PLACE=pod TMP='' WORK='' FRONT_TMP='' RESULT_MODE=scan CODE=INTERNAL MESSAGE=''
OS_ID='' OS_POINT='' PHASE='' OWNER=''
case ${1:-} in
  --worker)
    worker_main "$2"
    ;;
  --here)
    PLACE=here
    defaults
    OSP_RESULT=''
    front_main
    ;;
  *)
    if [ -z "${OSP_MODE:-}" ]; then
      by_hand "$@"
    else
      defaults
      front_main
    fi
    ;;
esac
