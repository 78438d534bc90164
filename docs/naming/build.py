"""Checks files.txt and items.txt against a checkout and writes renames.tsv beside them."""
import re,os,sys,collections,subprocess
repo=sys.argv[1] if len(sys.argv)>1 else '.'
here=os.path.dirname(os.path.abspath(__file__))
os.chdir(repo)
rs=[f for f in subprocess.check_output(['git','ls-files','*.rs'],text=True).split()]
TOK=re.compile(r"""(?P<c>//[^\n]*|/\*.*?\*/)|(?P<r>b?r(?P<h>\#*)".*?"(?P=h))|(?P<s>b?"(?:\\.|[^"\\])*")|(?P<q>'(?:\\[^']*|[^\\'])')|(?P<l>'\w+\b)""",re.S|re.X)
def strip(t): return TOK.sub(lambda m: re.sub(r'[^\n]',' ',m.group(0)) if not m.group('l') else m.group(0),t)
code={f:strip(open(f).read()) for f in rs}
alltext='\n'.join(code.values())
WORDS=collections.Counter(re.findall(r'\b[A-Za-z_]\w*\b',alltext))
DEFS=collections.Counter(re.findall(r'\b(?:fn|struct|enum|trait|type|const|static|macro_rules!)\s+(\w+)',alltext))
LOCALS=collections.Counter(re.findall(r'\blet (?:mut )?(\w+)|[(,]\s*(?:mut )?(\w+)\s*:',alltext))
LOC=collections.Counter()
for (x,y),n in LOCALS.items(): LOC[x or y]+=n
COLON=set(re.findall(r'\b(\w+) *:',alltext))
def defs(name): return DEFS[name]
def words(name): return WORDS[name]
def locals_(name): return LOC[name]
STD={'is_none','is_empty','push','take','retain','remove','insert','contains','count','len','query','reader','record','release','decide','fields','deadline','template','builder'}
rows=[];cur=None;bad=0
files=[]
for l in open(here+'/files.txt'):
    if l.startswith('#') or not l.strip(): continue
    a,b=l.rstrip('\n').split(' -> ',1); b,_,n=b.partition('|')
    files.append((a.strip(),b.strip(),n.strip()))
    if not os.path.exists(a.strip()): print('MISSING FILE',a); bad+=1
for l in open(here+'/items.txt'):
    l=l.rstrip('\n')
    if not l or l.startswith('# '): continue
    if l.startswith('@ '):
        cur=l[2:].strip()
        if not os.path.exists(cur): print('MISSING FILE',cur); bad+=1; cur=None
        continue
    if cur is None: continue
    m=re.match(r'(\w+) (\S+) -> (.+?) (pub|priv)(?: (.*))?$',l)
    if not m: print('BAD LINE',l); bad+=1; continue
    kind,old,new,scope,note=m.groups(); note=note or ''
    owner,name='',old
    if '::' in old: owner,name=old.rsplit('::',1)
    elif '.' in old: owner,name=old.rsplit('.',1)
    src=open(cur).read()
    if not re.search(r'\b%s\b'%re.escape(name),src) and 'new' not in note and kind!='none' and not name in('fit',):
        print('NOT IN FILE',cur,old); bad+=1
    if name==new: 
        rows.append((kind,scope,cur,owner,name,new,'stays',note)); continue
    d=defs(name); w=words(name); lo=locals_(name)
    simple=re.match(r'^\w+$',new) is not None
    if 'SLOT' in note: mode='slot'
    elif 'new' in note.split(':')[0].split() : mode='new'
    elif not simple or new=='(none)': mode='hand'
    elif 'inverts' in note: mode='hand'
    elif kind in('struct','enum','trait','type','const','macro') or (kind=='fn' and owner==''):
        mode='global' if d==1 and lo==0 else ('file' if scope=='priv' else 'compiler')
    elif kind=='method': mode='global' if name not in STD and d==1 and lo==0 and w<=60 and len(name)>5 and not name in COLON else 'compiler'
    elif kind=='variant': mode='path'
    elif kind=='field': mode='compiler'
    else: mode='hand'
    if mode in('global',) and words(new)>0 and kind not in('method','field'):
        note=(note+'; ' if note else '')+'new name occurs already: check'
    rows.append((kind,scope,cur,owner,name,new,mode,note))
with open(here+'/renames.tsv','w') as o:
    o.write('kind\tscope\tfile\towner\told\tnew\tmode\tnote\n')
    for a,b,n in files: o.write('\t'.join(('file','-',a,'',a,b,'git-mv' if not re.match('merge|split',n) else 'git-mv+hand',n))+'\n')
    for r in rows: o.write('\t'.join(r)+'\n')
c=collections.Counter(r[6] for r in rows)
print(len(files),'files',len(rows),'items',c,'bad',bad)
seen=collections.Counter((r[2],r[3],r[4]) for r in rows)
print([k for k,v in seen.items() if v>1])
